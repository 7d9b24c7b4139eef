// The bot creation wizard on the same unified connection.

import { useState } from "react";
import { useUnifiedWebSocket } from "../hooks/useUnifiedWebSocket";
import { WizardView } from "./views";

export function BotCreationWizard() {
  const [qr, setQr] = useState("");
  const [state, setState] = useState("idle");
  const { isConnected, triggerWhatsAppConnection, disconnectWhatsApp } = useUnifiedWebSocket({
    onQRUpdated: (event) => setQr(event.qr ?? ""),
    onWhatsAppConnected: () => setState("connected"),
    onWhatsAppDisconnected: () => setState("disconnected"),
    onConnectionFailed: () => setState("failed"),
  });
  const trigger = () => {
    console.log("🚀 Triggering WhatsApp connection via unified WebSocket");
    triggerWhatsAppConnection();
  };
  return (
    <WizardView isConnected={isConnected} qr={qr} state={state} onTrigger={trigger} onDisconnect={disconnectWhatsApp} />
  );
}
