import { useEffect } from "react";
import { io } from "socket.io-client";

/** Leaves its connection open when it is left. */
export function Broken() {
  useEffect(() => {
    const socket = io("/");
    socket.on("news", console.log);
  }, []);
  return <p>Broken</p>;
}
