#!/usr/bin/env node
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { environmentOf, findCommand, INSTALL } from "../index.js";

const COULD_NOT_CHECK = 3;

const command = findCommand();
if (command === undefined) {
  console.error(`wscheck: ${INSTALL}`);
  process.exit(COULD_NOT_CHECK);
}
const [program, ...first] = command;
const child = spawn(program, [...first, ...process.argv.slice(2)], {
  stdio: "inherit",
  windowsHide: true,
  env: environmentOf(),
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`wscheck: ${program} cannot be run: ${error.message}. ${INSTALL}`);
  process.exit(COULD_NOT_CHECK);
});
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? COULD_NOT_CHECK)));
