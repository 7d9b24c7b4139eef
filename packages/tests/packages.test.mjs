/** The packages as a project has them: installed, used in tests of pages and components, and as a launcher. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const WSCHECK = process.env.WSCHECK ?? join(HERE, "../../.venv/bin/wscheck");
const MODULES = join(HERE, "node_modules");
const LAUNCHER = join(MODULES, "wscheck/bin/wscheck.js");
// Without npx, which searches the registry for a program that it does not find.
const PLAYWRIGHT = [process.execPath, join(MODULES, "@playwright/test/cli.js"), "test"];
const JEST = [process.execPath, join(MODULES, "jest/bin/jest.js")];
const VITEST = [process.execPath, join(MODULES, "vitest/vitest.mjs"), "run"];

/** What is on PATH without any wscheck or uvx. */
const BARE = { PATH: dirname(process.execPath), HOME: mkdtempSync(join(tmpdir(), "wscheck-home-")), NO_COLOR: "1" };

function run(folder, command, environment = {}) {
  const [program, ...options] = command;
  const ran = spawnSync(program, options, {
    cwd: join(HERE, folder),
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", ...environment },
    encoding: "utf8",
    timeout: 240_000,
  });
  return { code: ran.status, text: ran.stdout + ran.stderr };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(String(port)));
    });
  });
}

function chromium() {
  const found = spawnSync("sh", ["-c", "command -v chromium || command -v google-chrome"], { encoding: "utf8" });
  return found.stdout.trim();
}

test("@wscheck/playwright", async (t) => {
  const environment = { CHROMIUM: chromium(), PORT: await freePort() };
  assert.ok(environment.CHROMIUM, "needs Chromium on PATH");
  const { text } = run("playwright", PLAYWRIGHT, { ...environment, WSCHECK });
  await t.test("healthy pages, accepted rules, and several contexts pass", () => assert.match(text, /\b11 passed/, text));
  await t.test("two connections fail with rule, place and fix", () => {
    for (const part of ["multiple-connections", "src/hooks/useBotWebSocket.ts:12:20", "src/hooks/useWhatsAppConnection.ts:13:20", "  fix "])
      assert.ok(text.includes(part), `${part} is missing in:\n${text}`);
    assert.match(text, /attachment #1: wscheck\.html/);
  });
  await t.test("a page without connections does not pass", () => assert.match(text, /INCONCLUSIVE/));
  await t.test("nothing else fails", () => assert.match(text, /\b2 failed/, text));
  await t.test("without wscheck the error says what to install", () => {
    const { code, text } = run("playwright", [...PLAYWRIGHT, "-g", "one connection"], { ...environment, ...BARE, WSCHECK: "" });
    assert.equal(code, 1);
    assert.match(text, /uv tool install wscheck-cli/);
  });
});

for (const ENVIRONMENT of ["jsdom", "happy-dom"]) {
  test(`@wscheck/vitest in ${ENVIRONMENT}`, () => {
    const { text } = run("vitest", VITEST, { ENVIRONMENT });
    assert.match(text, /Tests\s+2 failed \| 4 passed/, text);
    assert.match(text, /WebSocket ws:\/\/127\.0\.0\.1:9\/chat, opened at connections\.test\.mjs:\d+/, text);
    assert.match(text, /Socket\.IO http:\/\/127\.0\.0\.1:9, opened at connections\.test\.mjs:\d+/, text);
  });
}

for (const [MODULES, NODE_OPTIONS, left, passed] of [["commonjs", "", 2, 3], ["esm", "--experimental-vm-modules", 1, 1]]) {
  test(`@wscheck/vitest in Jest, ${MODULES}`, () => {
    const { text } = run("jest", JEST, { MODULES, NODE_OPTIONS });
    assert.ok(text.includes(`Tests:       ${left} failed, ${passed} passed`), text);
    assert.match(text, /Socket\.IO http:\/\/127\.0\.0\.1:9, opened at connections\.test\.[cm]js:\d+/, text);
  });
}

test("the launcher runs the wscheck that WSCHECK names, and passes its exit code on", () => {
  assert.match(run(".", ["node", LAUNCHER, "--version"], { WSCHECK }).text, /^wscheck \d/);
  assert.equal(run(".", ["node", LAUNCHER, "verify", "--nonsense"], { WSCHECK }).code, 2);
});

test("the launcher finds an installed wscheck, and skips another program of that name", () => {
  const folder = mkdtempSync(join(tmpdir(), "wscheck-other-"));
  writeFileSync(join(folder, "wscheck"), "#!/bin/sh\necho 'checks white space'\n");
  chmodSync(join(folder, "wscheck"), 0o755);
  const PATH = [folder, dirname(WSCHECK), BARE.PATH, "/usr/bin", "/bin"].join(delimiter);
  assert.match(run(".", ["node", LAUNCHER, "--version"], { WSCHECK: "", PATH }).text, /^wscheck \d/);
});

test("without wscheck the launcher says what to install", () => {
  const { code, text } = run(".", [process.execPath, LAUNCHER, "--version"], { ...BARE, PATH: "/nonexistent", WSCHECK: "" });
  assert.equal(code, 3);
  assert.match(text, /uv tool install wscheck-cli/);
});

test("the exit code of a uvx that cannot install wscheck is none of wscheck's", () => {
  const folder = mkdtempSync(join(tmpdir(), "wscheck-uvx-"));
  const uvx = (script) => writeFileSync(join(folder, "uvx"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const launch = () => run(".", [process.execPath, LAUNCHER, "scan"], { ...BARE, PATH: folder, WSCHECK: "" });
  uvx("echo 'no solution found' >&2; exit 1");
  const failed = launch();
  assert.equal(failed.code, 3);
  assert.match(failed.text, /no solution found\nwscheck: uvx could not install wscheck-cli\. wscheck is a Python program/);
  uvx('[ "$*" = "--from wscheck-cli wscheck --version" ] || exit 1');
  assert.equal(launch().code, 1);
});

/** Two copies of the launcher on PATH, behind a Node that counts how often it is started and gives up. */
function twoLaunchers() {
  const MOST = 20;
  const folder = mkdtempSync(join(tmpdir(), "wscheck-copies-"));
  const counted = join(folder, "starts");
  const nodes = join(folder, "bin");
  mkdirSync(nodes);
  writeFileSync(
    join(nodes, "node"),
    `#!/bin/sh\necho >> ${counted}\n[ $(/usr/bin/wc -l < ${counted}) -le ${MOST} ] || exit 70\nexec ${process.execPath} "$@"\n`,
    { mode: 0o755 },
  );
  const copies = ["one", "two"].map((name) => {
    const copy = join(folder, name);
    cpSync(join(MODULES, "wscheck"), join(copy, "wscheck"), { recursive: true });
    mkdirSync(join(copy, ".bin"));
    symlinkSync("../wscheck/bin/wscheck.js", join(copy, ".bin/wscheck"));
    return join(copy, ".bin");
  });
  return {
    launcher: join(copies[0], "wscheck"),
    copies,
    PATH: [nodes, ...copies].join(delimiter),
    starts: () => (readFileSync(counted, "utf8").length),
  };
}

test("two launchers on PATH do not start each other", () => {
  const { launcher, PATH, starts } = twoLaunchers();
  const { code, text } = run(".", [launcher, "--version"], { ...BARE, PATH, WSCHECK: "" });
  assert.equal(code, 3, text);
  assert.match(text, /^wscheck: wscheck is a Python program: [^\n]+\n$/);
  assert.equal(starts(), 2);
});

test("two launchers on PATH find the wscheck behind them", () => {
  const { launcher, PATH, starts } = twoLaunchers();
  const environment = { WSCHECK: "", PATH: [PATH, dirname(WSCHECK)].join(delimiter) };
  assert.match(run(".", [launcher, "--version"], environment).text, /^wscheck \d/);
  assert.equal(starts(), 2);
});

test("a launcher that WSCHECK names is not started again and again", () => {
  const { launcher, PATH, starts } = twoLaunchers();
  const { code, text } = run(".", [launcher, "--version"], { ...BARE, PATH, WSCHECK: launcher });
  assert.equal(code, 3, text);
  assert.ok(starts() < 10, text);
});
