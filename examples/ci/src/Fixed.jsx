import { useEffect } from "react";
import { io } from "socket.io-client";

/** Closes its connection when it is left. */
export function Fixed() {
  useEffect(() => {
    const socket = io("/alerts");
    socket.on("news", console.log);
    return () => {
      socket.disconnect();
    };
  }, []);
  return <p>Fixed</p>;
}
