// The server of the load benches without Socket.IO: raw WebSockets at /ws, server-sent events at /events, both with one
// connection per user (or per client, without a token). It counts, echoes, and floods on request.

import { createRequire } from "node:module";
import http from "node:http";

const require = createRequire(new URL("../examples/bot-dashboard/package.json", import.meta.url));
const { WebSocketServer } = require("ws");

const TEXT = "a message of ordinary length, about a line";
const STREAM_INTERVAL_MS = 300;
const state = { connects: 0, open: 0, replaced: 0, refused: 0, disconnects: 0, received: 0, emitted: 0 };
const clients = new Map();
const open = new Set();

function enter(token, client) {
  state.connects += 1;
  state.open += 1;
  open.add(client);
  const old = token && clients.get(token);
  if (token) clients.set(token, client);
  if (old?.isOpen()) {
    state.replaced += 1;
    old.end();
  }
}

function leave(token, client) {
  if (!open.delete(client)) return;
  state.open -= 1;
  state.disconnects += 1;
  if (clients.get(token) === client) clients.delete(token);
}

function emit(client, value) {
  if (!client.isOpen()) return;
  state.emitted += 1;
  client.send(JSON.stringify(value));
}

/** One event to every client, once a turn of the event loop, as an application's events come. */
function flood(left) {
  if (!left) return;
  for (const client of open) emit(client, { type: "message_sync", messages: [TEXT], seq: left });
  setImmediate(flood, left - 1);
}

function stream(token, request, response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  const client = {
    isOpen: () => open.has(client) && !response.writableEnded,
    send: (text) => response.write(`data: ${text}\n\n`),
    end: () => response.end(),
  };
  enter(token, client);
  response.on("close", () => leave(token, client));
}

const server = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (pathname === "/events") return stream(searchParams.get("token"), request, response);
  if (pathname === "/flood") flood(Number(searchParams.get("n")));
  response.end(JSON.stringify(state));
});
const sockets = new WebSocketServer({ server, path: "/ws", perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const token = new URL(request.url, "http://localhost").searchParams.get("token");
  const client = {
    isOpen: () => socket.readyState === 1,
    send: (text) => socket.send(text),
    end: () => socket.close(4000, "replaced"),
  };
  enter(token, client);
  socket.on("message", (data) => {
    state.received += 1;
    emit(client, JSON.parse(data));
  });
  socket.on("close", () => leave(token, client));
});
const events = setInterval(() => {
  for (const client of open) if (process.argv[2] === "ticks") emit(client, { type: "tick", at: Date.now() });
}, STREAM_INTERVAL_MS);
events.unref();
server.listen(0, "127.0.0.1", () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
