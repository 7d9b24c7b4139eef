// The command line: what the backend may be told, and a plain refusal of everything else.

import { parseArgs } from "node:util";
import { FAULTS } from "./faults.mjs";
import { POLICIES } from "./policy.mjs";
import { LOG_FORMATS } from "./log.mjs";

const SPEC = {
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string", default: "8000" },
  policy: { type: "string", default: "replace" },
  fault: { type: "string", multiple: true, default: [] },
  "log-format": { type: "string", default: "blocks" },
  namespace: { type: "string", default: "/" },
  path: { type: "string", default: "/socket.io" },
  "ping-interval": { type: "string", default: "25000" },
  "ping-timeout": { type: "string", default: "20000" },
  recovery: { type: "string", default: "0" },
  transports: { type: "string", default: "polling,websocket" },
  static: { type: "string" },
};

function oneOf(name, value, known) {
  if (!known.includes(value)) throw new Error(`--${name} ${value} is not known. Use one of: ${known.join(", ")}.`);
  return value;
}

function whole(name, value) {
  if (!/^\d+$/.test(value)) throw new Error(`--${name} ${value} is not a whole number.`);
  return Number(value);
}

/** The options as one object; throws an Error with a sentence for the user when the command line is wrong. */
export function readOptions(argv) {
  const { values } = parseArgs({ args: argv, options: SPEC, strict: true });
  return {
    host: values.host,
    port: whole("port", values.port),
    policy: oneOf("policy", values.policy, POLICIES),
    faults: new Set(values.fault.map((name) => oneOf("fault", name, FAULTS))),
    logFormat: oneOf("log-format", values["log-format"], LOG_FORMATS),
    namespace: values.namespace,
    path: values.path,
    pingInterval: whole("ping-interval", values["ping-interval"]),
    pingTimeout: whole("ping-timeout", values["ping-timeout"]),
    recovery: whole("recovery", values.recovery),
    transports: values.transports.split(",").map((name) => oneOf("transports", name, ["polling", "websocket"])),
    static: values.static,
  };
}
