/**
 * Use @wscheck/playwright in a project as `npm init playwright@latest` makes it, and count the runs with the right result.
 *
 *     node packages/tests/fresh-project/run.mjs 20
 *
 * It needs `make packages`, the npm registry, Chromium on PATH, and a wscheck (WSCHECK or the one of the checkout).
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PACKAGES = join(import.meta.dirname, "../..");
const WSCHECK = process.env.WSCHECK ?? join(PACKAGES, "../.venv/bin/wscheck");
const RUNS = Number(process.argv[2] ?? 1);
const OPENERS = ["chat.js:1:16", "notifications.js:2:18"];

const project = mkdtempSync(join(tmpdir(), "wscheck-fresh-"));
process.on("exit", () => rmSync(project, { recursive: true, force: true }));

function run(command, options, environment = {}) {
  return spawnSync(command, options, {
    cwd: project,
    encoding: "utf8",
    timeout: 180_000,
    env: { ...process.env, CI: "", NO_COLOR: "1", FORCE_COLOR: "0", PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: "1", ...environment },
  });
}

function must(command, options) {
  const ran = run(command, options);
  if (ran.status !== 0) throw new Error(`${command} ${options.join(" ")}\n${ran.stdout}${ran.stderr}`);
  return ran.stdout.trim();
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

must("npm", ["init", "--yes", "playwright@latest", "--", "--quiet", "--no-browsers"]);
must("npm", ["install", "--silent", "socket.io@4"]);
const folders = ["wscheck", "playwright"].map((name) => join(PACKAGES, name));
must("npm", ["install", "--silent", "--save-dev", "--install-links", ...folders]);
cpSync(join(import.meta.dirname, "page"), join(project, "page"), { recursive: true });

const chromium = must("sh", ["-c", "command -v chromium || command -v google-chrome"]);
const port = await freePort();
const config = readFileSync(join(project, "playwright.config.ts"), "utf8");
const added = `
    baseURL: 'http://127.0.0.1:${port}',
    launchOptions: { executablePath: '${chromium}' },
  },
  webServer: {
    command: 'node page/server.mjs',
    url: 'http://127.0.0.1:${port}/fixed.html',
    env: { PORT: '${port}' },`;
writeFileSync(join(project, "playwright.config.ts"), config.replace("use: {", `use: {${added}`).replace("reporter: 'html'", "reporter: 'line'"));

for (const name of ["broken", "fixed"]) {
  const lines = [
    "import { test, expectOneConnection } from '@wscheck/playwright';",
    `test('${name}', async ({ page }) => {`,
    `  await page.goto('/${name}.html');`,
    "  await expectOneConnection(page);",
    "});",
  ];
  writeFileSync(join(project, "tests", `${name}.spec.ts`), lines.join("\n"));
}

function isRight(name, { status, stdout }) {
  return name === "fixed" ? status === 0 : status === 1 && OPENERS.every((place) => stdout.includes(place));
}

let wrong = 0;
for (const name of ["broken", "fixed"]) {
  const seconds = [];
  for (let i = 0; i < RUNS; i++) {
    const begun = performance.now();
    const ran = run("npx", ["--no-install", "playwright", "test", "--project=chromium", name], { WSCHECK });
    seconds.push((performance.now() - begun) / 1000);
    if (isRight(name, ran)) continue;
    wrong += 1;
    console.log(`${name}, run ${i + 1}:\n${ran.stdout}${ran.stderr}`);
  }
  seconds.sort((a, b) => a - b);
  console.log(`${name}: ${seconds.length} runs, median ${seconds[seconds.length >> 1].toFixed(1)} s, slowest ${seconds.at(-1).toFixed(1)} s`);
}
console.log(`${2 * RUNS - wrong} of ${2 * RUNS} runs have the right result`);
process.exit(wrong ? 1 : 0);
