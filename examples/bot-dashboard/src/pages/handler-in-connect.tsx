// Cause: handlers are registered inside the connect handler, so every reconnection adds one more.

import { useEffect } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function Live() {
  useEffect(() => {
    const socket = io(backendUrl, { ...options(), reconnectionDelay: 100, reconnectionDelayMax: 100 });
    let times = 0;
    socket.on("connect", () => {
      socket.on("bot_status_update", (data) => console.log("status", data.seq));
      socket.emit("request_bot_status");
      // The network drops twice.
      if (++times < 3) setTimeout(() => socket.io.engine.close(), 300);
    });
    return () => void socket.disconnect();
  }, []);
  return <Panel title="Live" isConnected={true} />;
}

show(<Live />);
