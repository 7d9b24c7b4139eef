// One function that opens a connection for whoever calls it: shared code, and still one connection each.

import { io, type Socket } from "socket.io-client";
import { backendUrl, options } from "./session";

export function openSocket(): Socket {
  return io(backendUrl, options());
}
