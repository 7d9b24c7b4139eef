// Cause: one function opens them all, with forceNew and a query that differs by caller.

import { useEffect } from "react";
import { io, type Socket } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

function connect(view: string): Socket {
  return io(backendUrl, { ...options(), forceNew: true, query: { view } });
}

function View({ name }: { name: string }) {
  useEffect(() => {
    const socket = connect(name);
    return () => void socket.disconnect();
  }, [name]);
  return <Panel title={name} isConnected={true} />;
}

show(
  <main>
    <View name="dashboard" />
    <View name="wizard" />
  </main>,
);
