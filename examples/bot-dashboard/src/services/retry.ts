// What turns two connections into a loop: connecting again whenever the server replaced this one.

import type { Socket } from "socket.io-client";
import { retryAfter } from "./session";

/** Whether a kicked socket should connect again, and after how long. */
export function afterKick(socket: Socket, connect: () => void): void {
  if (retryAfter === undefined) return;
  socket.on("disconnect", (reason) => {
    if (reason === "io server disconnect") setTimeout(connect, retryAfter);
  });
}
