/**
 * Fail a Playwright test whose page opens duplicate, leaked or churning real-time connections.
 *
 *     import { test, expectOneConnection } from "@wscheck/playwright";
 *
 *     test("the dashboard opens one connection", async ({ page }) => {
 *       await page.goto("/dashboard");
 *       await expectOneConnection(page);
 *     });
 */
import { test as base, type Page } from "@playwright/test";
import { debuggingUrl, PORT_OPTION } from "./debugging-url.js";
import { CommandWatch } from "./command-watch.js";
import { settled } from "./settling.js";
import { SocketCount } from "./socket-count.js";
import { type CheckOptions, type Outcome, type Watch } from "./watch.js";

export { expect } from "@playwright/test";
export type { CheckOptions } from "./watch.js";

/** Time that wscheck may take to start and to end on a busy machine. It does not count as the test's. */
const OWN_TIME_MS = 60_000;

/** The watch of the test that runs in this worker. A worker runs one test at a time. */
let current: { watch: Watch; defaults: CheckOptions } | undefined;

type WscheckFixtures = {
  /** Options of every check in this file or project: `test.use({ wscheckOptions: { allow: [...] } })`. */
  wscheckOptions: CheckOptions;
  /** The watch of this test. It starts before the page is opened. */
  wscheck: Watch;
};

export const test = base.extend<WscheckFixtures>({
  wscheckOptions: [{}, { option: true }],
  // Every Chromium gets a debugging port beside Playwright's own pipe.
  launchOptions: [
    async ({ launchOptions, browserName }, use) => {
      const given = launchOptions.args ?? [];
      const needed = browserName === "chromium" && !given.some((argument) => argument.startsWith(PORT_OPTION));
      await use(needed ? { ...launchOptions, args: [...given, `${PORT_OPTION}=0`] } : launchOptions);
    },
    { scope: "worker" },
  ],
  wscheck: [
    async ({ browser, browserName, context, wscheckOptions }, use, testInfo) => {
      const watch: Watch =
        browserName === "chromium"
          ? await CommandWatch.start(await debuggingUrl(browser), testInfo)
          : new SocketCount(browserName, context);
      current = { watch, defaults: wscheckOptions };
      await use(watch);
      current = undefined;
      await watch.close();
    },
    { auto: true, timeout: OWN_TIME_MS },
  ],
});

/**
 * Fail unless the pages of this test have kept to one connection per user and endpoint since the test began.
 *
 * Call it at the end of the test: it waits until the page has settled, and ends the watch. The error contains each finding with the file and line that opened
 * the connections, the cause and the fix; the HTML report is attached to the test.
 *
 * @param page     a page of this test
 * @param options  `connections`: the connections that a user may have; `allow`: ids of rules that may be broken;
 *                 `settle`: milliseconds without a new websocket
 * @throws Error   there are findings, or nothing could be checked
 */
export async function expectOneConnection(page: Page, options: CheckOptions = {}): Promise<void> {
  if (current === undefined) {
    throw new Error("Nothing is watched: import `test` from '@wscheck/playwright' in this file.");
  }
  const all = { ...current.defaults, ...options };
  const info = test.info();
  if (info.timeout > 0) info.setTimeout(info.timeout + OWN_TIME_MS);
  await settled(page, all.settle);
  const outcome: Outcome = await current.watch.check(page, all);
  if (!outcome.passed) {
    throw new Error(outcome.text);
  }
}
