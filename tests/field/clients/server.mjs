// The pages, and real-time servers on one loopback port, which is printed as a JSON line. GraphQL, WebSocket and SockJS are served by the
// usual packages; Pusher has no server in the registry, so /app/ is a stand-in for it, and /parties/ for PartyKit.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import sockjs from "sockjs";
import { WebSocketServer } from "ws";

const root = path.dirname(fileURLToPath(import.meta.url));
const PERIOD_MS = 400;
const TYPES = { ".js": "text/javascript", ".map": "application/json" };

function every(write) {
  let number = 0;
  const timer = setInterval(() => write((number += 1)), PERIOD_MS);
  return () => clearInterval(timer);
}

function serve(request, response) {
  const { pathname } = new URL(request.url, "http://x");
  const send = (type, text, status = 200) => { response.writeHead(status, { "content-type": type, "cache-control": "no-store" }); response.end(text); };
  if (pathname.startsWith("/sock/")) return undefined;
  if (pathname === "/favicon.ico") return send("image/x-icon", "");
  if (pathname.startsWith("/events")) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    request.on("close", every((number) => response.write(`event: moved\ndata: {"id":${number}}\n\n`)));
    return undefined;
  }
  const page = pathname.match(/^\/([\w-]+)\.html$/);
  if (page) return send("text/html", `<!doctype html><meta charset="utf-8"><title>${page[1]}</title><body><div id="root"></div><script src="/${page[1]}.js"></script></body>`);
  const file = path.join(root, "public", path.normalize(pathname));
  if (!file.startsWith(path.join(root, "public")) || !fs.existsSync(file) || fs.statSync(file).isDirectory()) return send("text/plain", "not found", 404);
  return send(TYPES[path.extname(file)] || "text/plain", fs.readFileSync(file));
}

const ticks = async function* () { for (let number = 1; ; number += 1) { await new Promise((done) => setTimeout(done, PERIOD_MS)); yield { moved: number }; } };
const graphql = new WebSocketServer({ noServer: true, handleProtocols: () => "graphql-transport-ws" });
useServer({ schema: buildSchema("type Query { a: Int } type Subscription { moved(yard: String): Int }"), roots: { subscription: { moved: ticks } } }, graphql);

const raw = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] });
raw.on("connection", (socket, request) => {
  const { pathname } = new URL(request.url, "http://x");
  if (pathname === "/hmr") return void socket.send('{"type":"connected"}');
  socket.on("close", every((number) => socket.send(JSON.stringify({ type: "moved", id: number, from: pathname }))));
});

const pusher = new WebSocketServer({ noServer: true });
pusher.on("connection", (socket) => {
  const send = (event, data, channel) => socket.send(JSON.stringify({ event, channel, data: JSON.stringify(data) }));
  const channels = new Set();
  send("pusher:connection_established", { socket_id: `1.${Math.floor(Math.random() * 1e6)}`, activity_timeout: 120 });
  socket.on("message", (text) => {
    const { event, data } = JSON.parse(text);
    if (event === "pusher:ping") send("pusher:pong", {});
    if (event === "pusher:subscribe") { channels.add(data.channel); send("pusher_internal:subscription_succeeded", {}, data.channel); }
    if (event === "pusher:unsubscribe") channels.delete(data.channel);
  });
  socket.on("close", every((number) => channels.forEach((channel) => send("moved", { id: number }, channel))));
});

const server = http.createServer(serve);
server.on("upgrade", (request, socket, head) => {
  const { pathname } = new URL(request.url, "http://x");
  if (pathname.startsWith("/sock/")) return;
  const to = pathname === "/graphql" ? graphql : pathname.startsWith("/app/") ? pusher : raw;
  to.handleUpgrade(request, socket, head, (one) => to.emit("connection", one, request));
});
const sock = sockjs.createServer({ log: () => {} });
sock.on("connection", (one) => one.on("close", every((number) => one.write(JSON.stringify({ type: "moved", id: number })))));
sock.installHandlers(server, { prefix: "/sock" });
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ all: server.address().port })));
