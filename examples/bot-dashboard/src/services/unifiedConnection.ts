// The one connection of the page: opened by its first user, closed after its last, each event received once.

import { io, type Socket } from "socket.io-client";
import { backendUrl, options } from "./session";

export type Listener = (name: string, data: unknown) => void;

const EVENTS = ["bot_status_update", "whatsapp_connection_event", "message_sync", "connection_update"];

let socket: Socket | undefined;
let wasConnected = false;
const listeners = new Set<Listener>();

function tell(name: string, data?: unknown): void {
  for (const listener of [...listeners]) listener(name, data);
}

function open(): Socket {
  console.log("🔍 Creating unified WebSocket connection");
  const opened = io(backendUrl, { ...options(), reconnection: false });
  opened.on("connect", () => {
    console.log("✅ Unified WebSocket connected successfully");
    tell(wasConnected ? "reconnect" : "connect");
    wasConnected = true;
  });
  opened.on("disconnect", (reason) => tell("disconnect", reason));
  opened.on("connect_error", (error) => tell("connect_error", error));
  for (const name of EVENTS) opened.on(name, (data) => tell(name, data));
  return opened;
}

/** Joins the shared connection; the returned function leaves it. */
export function join(listener: Listener): () => void {
  listeners.add(listener);
  socket ??= open();
  return () => {
    listeners.delete(listener);
    // StrictMode leaves and joins again within one commit: closing at once would open two connections.
    setTimeout(closeWhenUnused);
  };
}

function closeWhenUnused(): void {
  if (listeners.size > 0) return;
  socket?.disconnect();
  socket = undefined;
  wasConnected = false;
}

export function isConnected(): boolean {
  return socket?.connected ?? false;
}

export function emit(name: string, data?: unknown): void {
  socket?.emit(name, data);
}
