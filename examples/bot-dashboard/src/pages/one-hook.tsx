// Cause: two components each open a connection, both with the same hook: React runs its effect, so the stacks are the same.

import { useEffect } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function useSocket() {
  useEffect(() => {
    const socket = io(backendUrl, options());
    return () => void socket.disconnect();
  }, []);
}

function Dashboard() {
  useSocket();
  return <Panel title="Dashboard" isConnected={true} />;
}

function Wizard() {
  useSocket();
  return <Panel title="Wizard" isConnected={true} />;
}

show(
  <main>
    <Dashboard />
    <Wizard />
  </main>,
);
