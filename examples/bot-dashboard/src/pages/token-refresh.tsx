// Cause: a refreshed token gets a new connection, and the old one stays. Needs a backend that accepts any token.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options, userId } from "../services/session";
import { show } from "../show";

function Live() {
  const [token, setToken] = useState("session-1");
  useEffect(() => {
    io(backendUrl, { ...options(), auth: { token, userId } });
    const timer = token === "session-1" ? setTimeout(() => setToken("session-2"), 500) : undefined;
    return () => clearTimeout(timer);
  }, [token]);
  return <Panel title="Live" isConnected={true} />;
}

show(<Live />);
