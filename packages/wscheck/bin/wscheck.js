#!/usr/bin/env node
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { environmentOf, findCommand, INSTALL } from "../index.js";

const COULD_NOT_CHECK = 3;

const command = findCommand();
if (command === undefined) {
  console.error(`wscheck: ${INSTALL}`);
  process.exit(COULD_NOT_CHECK);
}
const [program, ...first] = command;
// The exit code of uvx, if it cannot install wscheck, means something else than the same code of wscheck.
if (first.length > 0 && spawnSync(program, [...first, "--version"], { stdio: ["ignore", "ignore", "inherit"] }).status !== 0) {
  console.error(`wscheck: uvx could not install wscheck-cli. ${INSTALL}`);
  process.exit(COULD_NOT_CHECK);
}
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
