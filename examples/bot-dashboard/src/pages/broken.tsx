// The documented fault: dashboard and wizard each open a connection. `retry=300` makes them replace each other for ever.

import { useState } from "react";
import { DashboardView, WizardView } from "../components/views";
import { useBotWebSocket } from "../hooks/useBotWebSocket";
import { useWhatsAppConnection } from "../hooks/useWhatsAppConnection";
import { show } from "../show";

function Dashboard() {
  const [status, setStatus] = useState("unknown");
  const { isConnected, requestBotStatus } = useBotWebSocket((data) => setStatus(`${data.status} (${data.seq})`));
  return <DashboardView isConnected={isConnected} status={status} onRefresh={requestBotStatus} />;
}

function BotCreationWizard() {
  const [qr, setQr] = useState("");
  const [state, setState] = useState("idle");
  const { isConnected, triggerWhatsAppConnection, disconnectWhatsApp } = useWhatsAppConnection((event) => {
    if (event.type === "qr_updated") setQr(event.qr ?? "");
    else setState(event.type);
  });
  return (
    <WizardView
      isConnected={isConnected}
      qr={qr}
      state={state}
      onTrigger={triggerWhatsAppConnection}
      onDisconnect={disconnectWhatsApp}
    />
  );
}

show(
  <main>
    <Dashboard />
    <BotCreationWizard />
  </main>,
);
