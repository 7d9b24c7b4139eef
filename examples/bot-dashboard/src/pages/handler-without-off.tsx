// Cause: an effect registers a handler on the shared socket at every change, and never removes it.

import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { Panel } from "../components/views";
import { backendUrl, options } from "../services/session";
import { show } from "../show";

const socket = io(backendUrl, options());

function Chat({ room }: { room: number }) {
  useEffect(() => {
    socket.on("message_sync", (data) => console.log("room", room, data.seq));
    socket.emit("request_message_sync");
  }, [room]);
  return <Panel title={`Room ${room}`} isConnected={true} />;
}

function Rooms() {
  const [room, setRoom] = useState(1);
  useEffect(() => {
    if (room >= 3) return;
    const timer = setTimeout(() => setRoom(room + 1), 350);
    return () => clearTimeout(timer);
  }, [room]);
  return <Chat room={room} />;
}

show(<Rooms />);
