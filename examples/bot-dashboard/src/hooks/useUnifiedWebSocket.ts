// The documented hook: every component of the page shares one connection and hears what it asked for.

import { useEffect, useRef, useState } from "react";
import { emit, isConnected as connectedNow, join } from "../services/unifiedConnection";
import { userId } from "../services/session";
import type { WhatsAppConnectionEvent } from "./whatsapp";

export interface WebSocketEventHandlers {
  // General bot events
  onBotStatusUpdate?: (data: any) => void;
  onMessageSync?: (data: any) => void;
  onConnectionUpdate?: (data: any) => void;
  onConnectionError?: (error: any) => void;
  onReconnect?: () => void;

  // WhatsApp-specific events
  onWhatsAppConnected?: (data: WhatsAppConnectionEvent) => void;
  onWhatsAppDisconnected?: (data: WhatsAppConnectionEvent) => void;
  onQRUpdated?: (data: WhatsAppConnectionEvent) => void;
  onConnectionFailed?: (data: WhatsAppConnectionEvent) => void;
}

const WHATSAPP = {
  whatsapp_connected: "onWhatsAppConnected",
  whatsapp_disconnected: "onWhatsAppDisconnected",
  qr_updated: "onQRUpdated",
  connection_failed: "onConnectionFailed",
} as const;

function dispatch(handlers: WebSocketEventHandlers, name: string, data: any): void {
  if (name === "bot_status_update") handlers.onBotStatusUpdate?.(data);
  else if (name === "message_sync") handlers.onMessageSync?.(data);
  else if (name === "connection_update") handlers.onConnectionUpdate?.(data);
  else if (name === "connect_error") handlers.onConnectionError?.(data);
  else if (name === "reconnect") handlers.onReconnect?.();
  else if (name === "whatsapp_connection_event") {
    const event = data as WhatsAppConnectionEvent;
    handlers[WHATSAPP[event.type]]?.(event);
  }
}

export function useUnifiedWebSocket(handlers: WebSocketEventHandlers = {}) {
  const [isConnected, setConnected] = useState(connectedNow);
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(
    () =>
      join((name, data) => {
        setConnected(connectedNow());
        dispatch(latest.current, name, data);
      }),
    [],
  );
  return {
    isConnected,
    requestBotStatus: () => emit("request_bot_status"),
    requestMessageSync: () => emit("request_message_sync"),
    triggerWhatsAppConnection: () => emit("trigger_whatsapp_connection", { userId }),
    disconnectWhatsApp: () => emit("disconnect_whatsapp", { userId }),
  };
}
