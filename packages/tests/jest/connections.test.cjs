/** The tests of ../vitest in CommonJS, as Jest runs them by default. */
const { allowOpen, openConnections } = require("@wscheck/vitest");
const { io } = require("socket.io-client");

const NOBODY = "127.0.0.1:9";

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

test("shares one connection between two namespaces", () => {
  const sockets = ["chat", "admin"].map((name) => io(`http://${NOBODY}/${name}`));
  expect(openConnections()).toHaveLength(1);
  sockets.forEach((socket) => socket.disconnect());
});

test("leaves a connection open that is allowed", () => {
  allowOpen((connection) => connection.url.endsWith("/shared"));
  new WebSocket(`ws://${NOBODY}/shared`);
});
