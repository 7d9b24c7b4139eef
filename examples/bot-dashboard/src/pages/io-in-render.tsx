// Cause: the connection is opened while rendering, so every render opens one more.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function Clock() {
  const [now, setNow] = useState(0);
  const socket = io(backendUrl, options());
  useEffect(() => {
    const timer = setTimeout(() => setNow(now + 1), 200);
    return () => clearTimeout(timer);
  }, [now]);
  return <Panel title={`Rendered ${now + 1} times`} isConnected={socket.connected} />;
}

show(<Clock />);
