// The server of the load bench: counts, floods on request, echoes, and holds back the answer to "gate" until told.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const require = createRequire(new URL("../examples/bot-dashboard/package.json", import.meta.url));
const { Server } = require("socket.io");

const [cert, key] = process.argv.slice(2);
const state = { connects: 0, open: 0, gated: 0, echoes: 0, emitted: 0 };
const held = [];
let io;

/** One event to every socket, once a turn of the event loop, as an application's events come. */
function flood(left) {
  if (!left) return;
  io.emit("message_sync", { chatId: "chat-1", messages: ["a message of ordinary length, about a line"], seq: left });
  state.emitted += state.open;
  setImmediate(flood, left - 1);
}

function control(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (pathname === "/flood") flood(Number(searchParams.get("n")));
  if (pathname === "/go") for (const answer of held.splice(0)) answer("go");
  response.end(JSON.stringify(state));
}

const options = cert ? { cert: readFileSync(cert), key: readFileSync(key) } : {};
const web = cert ? https.createServer(options) : http.createServer();
// No ping falls into a measurement, and a generator that is busy is not thrown out.
io = new Server(web, { pingInterval: 300000, pingTimeout: 300000 });
io.on("connection", (socket) => {
  state.connects += 1;
  state.open += 1;
  socket.on("disconnect", () => (state.open -= 1));
  socket.on("gate", (_, answer) => {
    state.gated += 1;
    held.push(answer);
  });
  socket.on("echo", (value, answer) => {
    state.echoes += 1;
    answer(value);
  });
});
const plain = http.createServer(control);
web.listen(0, "127.0.0.1", () =>
  plain.listen(0, "127.0.0.1", () => console.log(web.address().port, plain.address().port)),
);
