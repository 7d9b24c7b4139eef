// The reference backend on Node: real socket.io, the documented behaviour, and faults on request
// (docs/reference-backend.md). Wires the small files beside it together.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { Counters } from "./counters.mjs";
import { answer } from "./events.mjs";
import { neverReap } from "./faults.mjs";
import { authenticate } from "./identity.mjs";
import { createLog } from "./log.mjs";
import { readOptions } from "./options.mjs";
import { Holdings } from "./policy.mjs";
import { createWeb } from "./web.mjs";

/** Runs the namespace's middleware: who is it, and may they connect. */
function gate({ faults }, holdings, counters) {
  return (socket, next) => {
    const refuse = (error) => {
      counters.refused += 1;
      next(error);
    };
    try {
      socket.data.userId = authenticate(socket.handshake.auth, faults);
    } catch (error) {
      return refuse(error);
    }
    return admit(holdings, socket.data.userId, next, refuse);
  };
}

function admit(holdings, userId, next, refuse) {
  holdings.admit(userId).then(() => next(), refuse);
}

function serve(namespace, options, counters) {
  const log = createLog(options.logFormat, { silent: options.faults.has("log-nothing") });
  const holdings = new Holdings(options, (userId, old, fresh) => {
    counters.replaced += 1;
    log.replacing(userId, old, fresh);
  });
  namespace.use(gate(options, holdings, counters));
  namespace.on("connection", (socket) => {
    const { userId } = socket.data;
    const everybody = options.faults.has("leak-events");
    const audience = () => (everybody ? [...namespace.sockets.values()] : holdings.of(userId));
    counters.connected();
    log.connected(socket, userId);
    socket.on("disconnect", (reason) => {
      counters.disconnected(reason);
      log.disconnected(socket, reason);
      holdings.remove(userId, socket);
    });
    answer(socket, userId, { audience, faults: options.faults, counters });
    holdings.add(userId, socket);
  });
}

/** For how long the server keeps the state of a connection that was lost, in milliseconds; 0: it does not. */
function recovered(maxDisconnectionDuration) {
  return maxDisconnectionDuration ? { connectionStateRecovery: { maxDisconnectionDuration } } : {};
}

function start(options) {
  const counters = new Counters();
  const http = createServer(createWeb(counters, options.static));
  const { path, pingInterval, pingTimeout, transports, recovery } = options;
  const cors = { origin: true, credentials: true };
  const io = new Server(http, { path, pingInterval, pingTimeout, transports, cors, ...recovered(recovery) });
  if (options.faults.has("never-reap")) io.engine.on("connection", neverReap);
  serve(io.of(options.namespace), options, counters);
  http.on("error", (error) => fail(`cannot listen on ${options.host}:${options.port}: ${error.message}`));
  http.listen(options.port, options.host, () => {
    process.stderr.write(`listening on http://${options.host}:${http.address().port}\n`);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => io.close(() => process.exit(0)));
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

try {
  start(readOptions(process.argv.slice(2)));
} catch (error) {
  fail(error.message);
}
