// Cause: a view that leaves calls off(event) without its handler, and so removes everybody's.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

const socket = io(backendUrl, options());

function Badge() {
  useEffect(() => {
    const count = () => console.log("badge");
    socket.on("message_sync", count);
    return () => void socket.off("message_sync", count);
  }, []);
  return <Panel title="Badge" isConnected={true} />;
}

function Preview() {
  useEffect(() => {
    socket.on("message_sync", () => console.log("preview"));
    return () => void socket.off("message_sync");
  }, []);
  return <Panel title="Preview" isConnected={true} />;
}

function Inbox() {
  const [open, setOpen] = useState(true);
  useEffect(() => {
    const close = setTimeout(() => setOpen(false), 3000);
    const ask = setInterval(() => socket.emit("request_message_sync"), 150);
    return () => (clearTimeout(close), clearInterval(ask));
  }, []);
  return (
    <main>
      <Badge />
      {open && <Preview />}
    </main>
  );
}

show(<Inbox />);
