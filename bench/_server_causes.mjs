// A Socket.IO server that has one cause of docs/causes.md ("before"), or the fix that its entry describes ("after").
//
//     node bench/_server_causes.mjs CAUSE before|after PORT
//
// It writes one line of JSON per connection and disconnection to the file server-N.log of the working folder, where N is the
// number of its process. It needs `make field-servers`.

import cluster from "node:cluster";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(new URL("../tests/field/servers/servers/package.json", import.meta.url));
const { Server } = require("socket.io");
const { createAdapter, setupPrimary } = require("@socket.io/cluster-adapter");

const [cause, state, port] = process.argv.slice(2);
const fixed = state === "after";
const TOKENS = { "key-of-ines": "ines", "key-of-omar": "omar" };
const PROCESSES = { "map-per-process": 2, "no-sticky-session": 2 };
const LOOKUP_MS = 40; // as a query of a database takes

const current = new Map(); // user -> socket, of this process
const nextTurn = () => new Promise((resolve) => setTimeout(resolve, LOOKUP_MS));
const room = (user) => `user:${user}`;

/** What happens to a user's older connection when a new one begins. */
const REPLACE = {
  "transport-closed": (io, socket, older) => (fixed ? older?.disconnect() : older?.conn.close()),
  "map-per-process": (io, socket, older) =>
    fixed ? io.in(room(socket.data.user)).except(socket.id).disconnectSockets() : older?.disconnect(),
  "newcomer-ended": (io, socket, older) => {
    if (!older) return;
    const everyone = io.in(room(socket.data.user));
    (fixed ? everyone.except(socket.id) : everyone).disconnectSockets();
  },
  "no-sticky-session": (io, socket) => io.in(room(socket.data.user)).except(socket.id).disconnectSockets(),
  zombie: (io, socket, older) => fixed && older?.disconnect(), // before: waits until the dead one has timed out
};

async function lookupRace(socket) {
  const { user } = socket.data;
  if (!fixed) {
    const older = current.get(user);
    await nextTurn();
    older?.disconnect();
    current.set(user, socket);
    return;
  }
  const older = current.get(user);
  current.set(user, socket);
  older?.disconnect();
  await nextTurn();
  if (current.get(user) !== socket) socket.disconnect();
}

function log(msg, fields) {
  const line = { level: 30, time: Date.now(), pid: process.pid, hostname: "relay-1", ...fields, msg };
  appendFileSync(`server-${cluster.worker?.id ?? 0}.log`, `${JSON.stringify(line)}\n`);
}

function serve(http) {
  const io = new Server(http, cause === "zombie" ? { pingInterval: 3000, pingTimeout: 3000 } : {});
  if (cluster.isWorker) io.adapter(createAdapter());
  io.use((socket, next) => {
    const user = TOKENS[socket.handshake.auth.token];
    if (!user || user !== (socket.handshake.auth.userId ?? user)) return next(new Error("unauthorized"));
    socket.data.user = user;
    next();
  });
  io.on("connection", (socket) => {
    const { user } = socket.data;
    log("client connected", { userId: user, socketId: socket.id });
    socket.on("disconnect", (reason) => {
      if (current.get(user) === socket) current.delete(user);
      log("client disconnected", { userId: user, socketId: socket.id, reason });
    });
    socket.join(room(user));
    socket.on("list", () => socket.emit("listed", { userId: user, items: [] }));
    if (cause === "lookup-race") return void lookupRace(socket);
    REPLACE[cause](io, socket, current.get(user));
    current.set(user, socket);
  });
}

if (PROCESSES[cause] && cluster.isPrimary) {
  setupPrimary();
  const workers = Array.from({ length: PROCESSES[cause] }, () => cluster.fork());
  let ready = 0;
  cluster.on("listening", () => ++ready === workers.length && console.error(`listening on http://127.0.0.1:${port}`));
  process.on("SIGTERM", () => {
    for (const worker of workers) worker.process.kill("SIGKILL");
    process.exit(0);
  });
} else {
  const http = createServer();
  serve(http);
  http.listen(Number(port), "127.0.0.1", () => cluster.isPrimary && console.error(`listening on http://127.0.0.1:${port}`));
}
