import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Page, TestInfo } from "@playwright/test";
import { findCommand, INSTALL } from "wscheck";
import type { CheckOptions, Outcome, Watch } from "./watch.js";

/** Width of the report in the error message (characters). */
const WIDTH = "110";

const READY = "wscheck-is-watching";

/** The program that wscheck runs while it watches: it says that the watch has begun, and ends with its standard input. */
const UNTIL_STDIN_ENDS = `process.stdout.write("${READY}\\n"); process.stdin.resume()`;

/** `wscheck browser` as a child process that watches the browser of the test through its debugging port. */
export class CommandWatch implements Watch {
  #child!: ChildProcess;
  #ended!: Promise<number | null>;
  #output = "";
  #errors = "";

  private constructor(
    private readonly program: string[],
    private readonly testInfo: TestInfo,
  ) {}

  #formats(...formats: string[]): string[] {
    const file = (format: string) => `${format}=${this.testInfo.outputPath(`wscheck.${format}`)}`;
    return formats.flatMap((format) => ["--format", format === "terminal" ? format : file(format)]);
  }

  #run(command: string, options: string[]): void {
    this.#child = spawn(command, options, {
      stdio: ["pipe", "pipe", "pipe"],
      windowsHide: true,
      env: { ...process.env, COLUMNS: WIDTH },
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.#child.stdin?.on("error", () => {}); // wscheck has ended already; its messages tell why
    this.#ended = new Promise((resolve, reject) => this.#child.on("error", reject).on("close", resolve));
    this.#ended.catch(() => {});
  }

  /** Start wscheck and wait until it watches the browser. */
  static async start(url: string, testInfo: TestInfo): Promise<CommandWatch> {
    const program = findCommand();
    if (program === undefined) throw new Error(INSTALL);
    const watch = new CommandWatch(program, testInfo);
    const [command, ...first] = program as [string, ...string[]];
    const driver = ["--", process.execPath, "-e", UNTIL_STDIN_ENDS];
    const formats = watch.#formats("terminal", "json", "html", "ndjson");
    watch.#run(command, [...first, "browser", "--cdp", url, ...formats, ...driver]);
    await watch.#ready();
    return watch;
  }

  async #ready(): Promise<void> {
    const begun = new Promise<void>((resolve) => {
      this.#child.stderr?.on("data", () => {
        if (this.#errors.includes(READY)) resolve();
      });
    });
    const failed = this.#ended.then(() => {
      throw new Error(`wscheck did not start: ${this.#errors.trim()}`);
    });
    failed.catch(() => {});
    await Promise.race([begun, failed]);
  }

  async check(_page: Page, options: CheckOptions): Promise<Outcome> {
    this.#child.stdin?.end();
    await this.#ended;
    if (options.connections !== undefined) await this.#evaluateAgain(options.connections);
    const html = this.testInfo.outputPath("wscheck.html");
    if (existsSync(html)) await this.testInfo.attach("wscheck.html", { path: html, contentType: "text/html" });
    return outcomeOf(await this.#report(), this.#output, options.allow ?? []);
  }

  /** Evaluate what was recorded with another policy than the one of wscheck.toml. */
  async #evaluateAgain(connections: number | string): Promise<void> {
    const [command, ...first] = this.program as [string, ...string[]];
    const source = ["verify", "--from", this.testInfo.outputPath("wscheck.ndjson"), "--connections", String(connections)];
    this.#output = "";
    this.#errors = "";
    this.#run(command, [...first, ...source, ...this.#formats("terminal", "json", "html")]);
    await this.#ended;
  }

  async #report(): Promise<Report> {
    try {
      return JSON.parse(await readFile(this.testInfo.outputPath("wscheck.json"), "utf8")) as Report;
    } catch {
      throw new Error(`wscheck wrote no report: ${this.#errors.trim() || "it ended without a message"}`);
    }
  }

  async close(): Promise<void> {
    this.#child?.stdin?.end();
    await this.#ended?.catch(() => undefined);
  }
}

/** What this package reads of the report in JSON (docs/json.md). */
interface Report {
  verdict: "passed" | "failed" | "inconclusive" | "skipped";
  findings: { rule: string; severity: "error" | "warning" | "note" }[];
}

function outcomeOf(report: Report, text: string, allow: string[]): Outcome {
  const counting = report.findings.filter((finding) => finding.severity === "error" && !allow.includes(finding.rule));
  const passed = report.verdict === "passed" || (report.verdict === "failed" && counting.length === 0);
  return { passed, text: messageOf(text) };
}

/** Return the report in the terminal format without its first paragraph, which names the browser's debugging port. */
function messageOf(text: string): string {
  const lines = text.split("\n").map((line) => line.trimEnd());
  return lines.slice(lines.indexOf("") + 1).join("\n").trim();
}
