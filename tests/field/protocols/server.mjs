// One loopback port for the pages and for a server of each protocol; it is ephemeral and printed as one JSON line.
// MQTT: aedes. SockJS: sockjs. The others are stand-ins that answer as the real servers do: Phoenix, Supabase Realtime,
// Action Cable, SignalR (JSON and MessagePack), STOMP.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { Aedes } from "aedes";
import sockjs from "sockjs";
import { WebSocketServer, createWebSocketStream } from "ws";

const root = path.dirname(fileURLToPath(import.meta.url));
const TYPES = { ".js": "text/javascript", ".map": "application/json" };
const EVERY_MS = 400;
let port = 0;

function files(request, response) {
  const { pathname } = new URL(request.url, "http://x");
  const send = (type, text, status = 200) => { response.writeHead(status, { "content-type": type, "cache-control": "no-store" }); response.end(text); };
  if (pathname === "/favicon.ico") return send("image/x-icon", "");
  if (pathname === "/hub/negotiate" || pathname === "/packed/negotiate") return send("application/json", negotiate());
  const page = pathname.match(/^\/dev\/([\w-]+)\.html$/);
  if (page) return send("text/html", `<!doctype html><meta charset="utf-8"><title>${page[1]}</title><body><div id="root"></div><script src="/dev/${page[1]}.js"></script></body>`);
  const file = path.join(root, "public", path.normalize(pathname));
  if (!file.startsWith(path.join(root, "public")) || !fs.existsSync(file) || fs.statSync(file).isDirectory()) return send("text/plain", "not found", 404);
  return send(TYPES[path.extname(file)] || "text/plain", fs.readFileSync(file));
}

/** Calls `tell` with a number that grows, until the connection has closed. */
function regularly(ws, tell) {
  let number = 0;
  const timer = setInterval(() => tell((number += 1)), EVERY_MS);
  ws.on("close", () => clearInterval(timer));
}

// --- Phoenix and Supabase: a second join of a topic on one socket closes the first channel ----------------------------

function phoenix(ws) {
  const joined = new Map();
  const send = (...message) => ws.send(JSON.stringify(message));
  ws.on("message", (data, isBinary) => {
    if (isBinary) return;
    const [join, ref, topic, event, payload] = JSON.parse(data);
    if (event === "phx_join") {
      if (joined.has(topic)) send(joined.get(topic).join, null, topic, "phx_close", {});
      const changes = payload.config?.postgres_changes ?? [];
      joined.set(topic, { join, changes });
      send(join, ref, topic, "phx_reply", { status: "ok", response: payload.config ? { postgres_changes: changes.map((change, id) => ({ id, ...change })) } : {} });
      if (changes.length) send(null, null, topic, "system", { status: "ok", extension: "postgres_changes", channel: topic, message: "Subscribed to PostgreSQL" });
      return;
    }
    if (event === "phx_leave") joined.delete(topic);
    send(join, ref, topic, "phx_reply", { status: "ok", response: {} });
    if (event === "phx_leave") send(join, ref, topic, "phx_close", {});
  });
  regularly(ws, (number) => {
    for (const [topic, { changes }] of joined) {
      if (!changes.length) send(null, null, topic, "moved", { number });
      else send(null, null, topic, "postgres_changes", { ids: [0], data: { schema: "public", table: changes[0].table, type: "INSERT", commit_timestamp: new Date().toISOString(), record: { id: number }, columns: [{ name: "id", type: "int4" }], errors: null } });
    }
  });
}

// --- Action Cable: one subscription for each identifier; a second one gets no confirmation ------------------------------

function actionCable(ws) {
  const confirmed = new Set();
  const send = (message) => ws.send(JSON.stringify(message));
  send({ type: "welcome" });
  ws.on("message", (data) => {
    const { command, identifier } = JSON.parse(data);
    if (command === "unsubscribe") confirmed.delete(identifier);
    if (command !== "subscribe" || confirmed.has(identifier)) return;
    confirmed.add(identifier);
    send({ identifier, type: "confirm_subscription" });
  });
  regularly(ws, (number) => {
    if (number % 7 === 0) send({ type: "ping", message: Math.floor(Date.now() / 1000) });
    for (const identifier of confirmed) send({ identifier, message: { type: "moved", number } });
  });
}

// --- SignalR: a hub that calls `moved`, and has a stream `Ticks` ------------------------------------------------------

function negotiate() {
  const id = () => Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url");
  return JSON.stringify({ negotiateVersion: 1, connectionId: id(), connectionToken: id(), availableTransports: [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }] });
}

const msgpack = new MessagePackHubProtocol();

function signalR(ws) {
  let isPacked = false, isGreeted = false;
  const streams = new Set();
  const send = (message) => ws.send(isPacked ? Buffer.from(msgpack.writeMessage(message)) : `${JSON.stringify(message)}\x1e`);
  ws.on("message", (data) => {
    if (!isGreeted) {
      isGreeted = true;
      isPacked = JSON.parse(String(data).split("\x1e")[0]).protocol === "messagepack";
      return ws.send(isPacked ? Buffer.from("{}\x1e") : "{}\x1e");
    }
    const messages = isPacked ? msgpackMessages(data) : String(data).split("\x1e").filter(Boolean).map((each) => JSON.parse(each));
    for (const { type, invocationId } of messages) {
      if (type === 4) streams.add(invocationId);
      if (type === 5) { streams.delete(invocationId); send({ type: 3, headers: {}, invocationId, result: null }); }
    }
  });
  regularly(ws, (number) => {
    if (!isGreeted) return;
    send({ type: 1, headers: {}, target: "moved", arguments: [{ number }], streamIds: [] });
    for (const invocationId of streams) ws.send(isPacked ? packedItem(invocationId, number) : `${JSON.stringify({ type: 2, invocationId, item: { tick: number } })}\x1e`);
  });
}

/** Messages of a client, of which the library reads only those of servers: a length, then a list. */
function msgpackMessages(data) {
  const found = [];
  for (let at = 0; at < data.length;) {
    let length = 0, shift = 0, byte;
    do { byte = data[at++]; length |= (byte & 127) << shift; shift += 7; } while (byte & 128);
    const [type, id] = [data[at + 1], data.subarray(at + 3)];
    found.push({ type, invocationId: type === 4 || type === 5 ? String(id.subarray(1, 1 + (id[0] & 31))) : undefined });
    at += length;
  }
  return found;
}

/** [2, {}, invocationId, number] in MessagePack; both are short. */
function packedItem(invocationId, number) {
  const body = Buffer.concat([Buffer.from([0x94, 2, 0x80, 0xa0 | invocationId.length]), Buffer.from(invocationId), Buffer.from([number & 127])]);
  return Buffer.concat([Buffer.from([body.length]), body]);
}

// --- STOMP: a broker without queues ---------------------------------------------------------------------------------

function stomp(connection) {
  const held = new Map();
  const header = (frame, name) => frame.match(new RegExp(`^${name}:(.*)$`, "m"))?.[1] ?? "";
  connection.on("message", (data) => {
    for (const frame of String(data).split("\0").map((each) => each.trimStart()).filter(Boolean)) {
      const command = frame.split("\n")[0];
      if (command === "CONNECT") connection.send(`CONNECTED\nversion:1.2\nuser-name:${header(frame, "login") || "guest"}\nheart-beat:0,0\n\n\0`);
      if (command === "SUBSCRIBE") held.set(header(frame, "id"), header(frame, "destination"));
      if (command === "UNSUBSCRIBE") held.delete(header(frame, "id"));
      if (command === "DISCONNECT" && header(frame, "receipt")) connection.send(`RECEIPT\nreceipt-id:${header(frame, "receipt")}\n\n\0`);
    }
  });
  regularly(connection, (number) => {
    for (const [id, destination] of held) connection.send(`MESSAGE\nsubscription:${id}\nmessage-id:${number}\ndestination:${destination}\n\n${JSON.stringify({ number })}\0`);
  });
}

// --- all ------------------------------------------------------------------------------------------------------------

const broker = await Aedes.createBroker();
let moves = 0;
setInterval(() => broker.publish({ topic: "yard/moves", payload: JSON.stringify({ number: (moves += 1) }), qos: 0, retain: false }, () => {}), EVERY_MS).unref();

const server = http.createServer(files);
const sock = sockjs.createServer({ log: () => {} });
sock.on("connection", (connection) => {
  connection.send = (text) => connection.write(text);
  connection.on("data", (data) => connection.emit("message", data));
  stomp(connection);
});
sock.installHandlers(server, { prefix: "/sock" });
const offered = { handleProtocols: (names) => [...names][0] };
const sockets = new WebSocketServer({ noServer: true, ...offered });
server.on("upgrade", (request, socket, head) => {
  const { pathname } = new URL(request.url, "http://x");
  if (pathname.startsWith("/sock/")) return;
  const speak = pathname.endsWith("/websocket") ? phoenix : { "/cable": actionCable, "/hub": signalR, "/packed": signalR, "/stomp": stomp, "/mqtt": (ws) => broker.handle(createWebSocketStream(ws), request) }[pathname];
  if (!speak) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, speak);
});
await new Promise((done) => server.listen(port, "127.0.0.1", done));
port = server.address().port;
console.log(JSON.stringify({ keeps: port }));
