// Cause: the page and a widget built apart from it each carry a copy of socket.io-client, so they share nothing.

import { useEffect } from "react";
import { Panel } from "../components/views";
import { openSocket } from "../services/openSocket";
import { show } from "../show";

function Dashboard() {
  useEffect(() => {
    const socket = openSocket();
    return () => void socket.disconnect();
  }, []);
  return <Panel title="Dashboard" isConnected={true} />;
}

show(<Dashboard />);
