import { allowOpen, openConnections } from "@wscheck/vitest";
import { io } from "socket.io-client";
import { expect, test } from "vitest";

const NOBODY = "127.0.0.1:9"; // nothing listens there: a test needs no server to see what its component opens

test("leaves a WebSocket open", () => {
  new WebSocket(`ws://${NOBODY}/chat`);
});

test("leaves a Socket.IO connection open", () => {
  io(`http://${NOBODY}`, { forceNew: true });
});

test("closes a WebSocket", () => {
  const socket = new WebSocket(`ws://${NOBODY}/chat`);
  expect(openConnections()).toMatchObject([{ kind: "WebSocket", url: `ws://${NOBODY}/chat` }]);
  socket.close();
  expect(openConnections()).toEqual([]);
});

test("opens two connections and closes them", () => {
  const sockets = [1, 2].map(() => io(`http://${NOBODY}`, { forceNew: true }));
  expect(openConnections()).toHaveLength(2);
  sockets.forEach((socket) => socket.disconnect());
});

test("shares one connection between two namespaces", () => {
  const sockets = ["chat", "admin"].map((name) => io(`http://${NOBODY}/${name}`));
  expect(openConnections()).toHaveLength(1);
  sockets.forEach((socket) => socket.disconnect());
});

test("leaves a connection open that is allowed", () => {
  allowOpen((connection) => connection.url.endsWith("/shared"));
  new WebSocket(`ws://${NOBODY}/shared`);
});
