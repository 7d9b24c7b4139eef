// The dashboard on the unified connection.

import { useState } from "react";
import { useUnifiedWebSocket } from "../hooks/useUnifiedWebSocket";
import { DashboardView } from "./views";

export function Dashboard() {
  const [status, setStatus] = useState("unknown");
  const { isConnected, requestBotStatus } = useUnifiedWebSocket({
    onBotStatusUpdate: (data) => {
      console.log("📊 Bot status update received:", data);
      setStatus(`${data.status} (${data.seq})`);
    },
    onMessageSync: (data) => console.log("📨 Message sync received:", data),
    onConnectionUpdate: (data) => console.log("🔄 Connection update received:", data),
  });
  return <DashboardView isConnected={isConnected} status={status} onRefresh={requestBotStatus} />;
}
