// Cause: the effect depends on an object that is new on every render, so every render reconnects.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options, userId } from "../services/session";
import { show } from "../show";

function Live({ user }: { user: { id: string } }) {
  useEffect(() => {
    const socket = io(backendUrl, options());
    return () => void socket.disconnect();
  }, [user]);
  return <Panel title={`Live for ${user.id}`} isConnected={true} />;
}

function Clock() {
  const [now, setNow] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setNow((n) => n + 1), 200);
    return () => clearInterval(timer);
  }, []);
  return (
    <main>
      <p>{now}</p>
      <Live user={{ id: userId }} />
    </main>
  );
}

show(<Clock />);
