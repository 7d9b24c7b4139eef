// The documented fault, second half: the wizard's hook opens a connection of its own.

import { useEffect, useState } from "react";
import { io, type Socket } from "socket.io-client";
import { afterKick } from "../services/retry";
import { backendUrl, options } from "../services/session";
import type { WhatsAppConnectionEvent } from "./whatsapp";

export function useWhatsAppConnection(onEvent: (event: WhatsAppConnectionEvent) => void) {
  const [socket, setSocket] = useState<Socket>();
  const [isConnected, setConnected] = useState(false);
  useEffect(() => {
    const opened = io(backendUrl, options());
    setSocket(opened);
    opened.on("connect", () => setConnected(true));
    opened.on("disconnect", () => setConnected(false));
    opened.on("whatsapp_connection_event", onEvent);
    afterKick(opened, () => opened.connect());
    return () => void opened.disconnect();
  }, []);
  return {
    isConnected,
    triggerWhatsAppConnection: () => socket?.emit("trigger_whatsapp_connection"),
    disconnectWhatsApp: () => socket?.emit("disconnect_whatsapp"),
  };
}
