// The documented fault, first half: the dashboard's hook opens a connection of its own.

import { useEffect, useState } from "react";
import { io, type Socket } from "socket.io-client";
import { afterKick } from "../services/retry";
import { backendUrl, options } from "../services/session";

export function useBotWebSocket(onStatus: (data: any) => void) {
  const [socket, setSocket] = useState<Socket>();
  const [isConnected, setConnected] = useState(false);
  useEffect(() => {
    const opened = io(backendUrl, options());
    setSocket(opened);
    opened.on("connect", () => setConnected(true));
    opened.on("disconnect", () => setConnected(false));
    opened.on("bot_status_update", onStatus);
    afterKick(opened, () => opened.connect());
    return () => void opened.disconnect();
  }, []);
  return { isConnected, requestBotStatus: () => socket?.emit("request_bot_status") };
}
