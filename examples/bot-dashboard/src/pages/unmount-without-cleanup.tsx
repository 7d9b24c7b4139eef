// Cause: a view opens a connection, leaves, and its connection stays. The page navigates by itself.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function Chat() {
  useEffect(() => {
    io(backendUrl, options());
  }, []);
  return <Panel title="Chat" isConnected={true} />;
}

function Router() {
  const [route, setRoute] = useState(0);
  useEffect(() => {
    if (route >= 4) return;
    const timer = setTimeout(() => setRoute(route + 1), 300);
    return () => clearTimeout(timer);
  }, [route]);
  return route % 2 === 0 ? <Chat /> : <Panel title="Settings" isConnected={false} />;
}

show(<Router />);
