/** The same in ES modules. */
import { openConnections } from "@wscheck/vitest";
import { io } from "socket.io-client";

test("leaves a Socket.IO connection open", () => {
  io("http://127.0.0.1:9", { forceNew: true });
});

test("closes a Socket.IO connection", () => {
  const socket = io("http://127.0.0.1:9", { forceNew: true });
  expect(openConnections()).toHaveLength(1);
  socket.disconnect();
});
