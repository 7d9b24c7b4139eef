import { spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const INSTALL =
  "wscheck is a Python program: install it with `uv tool install wscheck-cli` or `pipx install wscheck-cli`, or set WSCHECK to the path of an installed one.";

/** A text of its help. Another program on the Python package index is called wscheck too. */
const OURS = /real-time\s+connections/;

const LAUNCHER = fileURLToPath(new URL("./bin/wscheck.js", import.meta.url));

/**
 * Launchers that may have started each other. A program that wscheck runs may use one again, as in
 * `npx wscheck browser URL -- npm test`; more than these are copies that start each other.
 */
const MOST_NESTED = 4;

export function findCommand(environment = process.env) {
  if (nested(environment) >= MOST_NESTED) return undefined;
  if (environment.WSCHECK) return [environment.WSCHECK];
  const installed = programs("wscheck", environment).find(isOurs);
  if (installed) return [installed];
  const [uvx] = programs("uvx", environment);
  return uvx && [uvx, "--from", "wscheck-cli", "wscheck"];
}

/** Return the environment for a program that this launcher starts. */
export function environmentOf(environment = process.env) {
  return { ...environment, WSCHECK_LAUNCHER: String(nested(environment) + 1) };
}

function nested(environment) {
  return Number(environment.WSCHECK_LAUNCHER) || 0;
}

/** Return the executable files of this name in the folders of PATH. The launcher of this package is none of them. */
function programs(name, environment) {
  const names = process.platform === "win32" ? [`${name}.exe`] : [name];
  const folders = (environment.PATH ?? environment.Path ?? "").split(delimiter).filter(Boolean);
  return folders.flatMap((folder) => names.map((each) => join(folder, each))).filter(isProgram);
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return realpathSync(path) !== LAUNCHER;
  } catch {
    return false;
  }
}

function isOurs(program) {
  const ran = spawnSync(program, ["--help"], {
    encoding: "utf8",
    timeout: 30_000,
    windowsHide: true,
    // Another copy of this launcher may be on PATH: it must not search in turn.
    env: { ...process.env, WSCHECK_LAUNCHER: String(MOST_NESTED) },
    stdio: ["ignore", "pipe", "ignore"],
  });
  return ran.status === 0 && OURS.test(ran.stdout);
}
