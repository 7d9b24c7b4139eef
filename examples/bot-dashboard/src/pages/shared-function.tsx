// Cause: two components each open a connection, both through the same function: the stacks differ one frame further on.

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

function Wizard() {
  useEffect(() => {
    const socket = openSocket();
    return () => void socket.disconnect();
  }, []);
  return <Panel title="Wizard" isConnected={true} />;
}

show(
  <main>
    <Dashboard />
    <Wizard />
  </main>,
);
