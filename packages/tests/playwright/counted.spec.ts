/**
 * The count of websockets for browsers without the DevTools protocol.
 *
 * The Firefox and WebKit of Playwright are not needed: a Chromium that the fixtures take for Firefox gives the same events.
 */
import type { Browser, Page } from "@playwright/test";
import { expect, expectOneConnection, test as base } from "@wscheck/playwright";

const test = base.extend<object, { browser: Browser }>({
  browser: [
    async ({ playwright }, use) => {
      const browser = await playwright.chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
      await use(browser);
      await browser.close();
    },
    { scope: "worker" },
  ],
});
test.use({ browserName: "firefox" });

/** Open a websocket in the page, at once or later. Return when the test has seen one that is opened at once. */
async function openSocket(page: Page, { path = "/socket.io/?EIO=4&transport=websocket", delay = 0 } = {}): Promise<void> {
  const seen = delay ? undefined : page.waitForEvent("websocket");
  await page.evaluate(([to, milliseconds]) => {
    const open = () => new WebSocket(`ws://${location.host}${to}`);
    setTimeout(() => ((window as unknown as { socket: WebSocket }).socket = open()), milliseconds);
  }, [path, delay] as const);
  await seen;
}

/** Go to a page of the server that opens nothing: Chromium lets only pages of this machine connect to it. */
async function openBlank(page: Page): Promise<void> {
  await page.goto("/no-such-page");
}

test.beforeEach(({ page }) => openBlank(page));

test("counted: one websocket", async ({ page }) => {
  await openSocket(page);
  await expectOneConnection(page);
});

test("counted: two websockets", async ({ page, baseURL }) => {
  await openSocket(page);
  await openSocket(page);
  const endpoint = `${baseURL?.replace("http", "ws")}/socket.io/`;
  await expect(expectOneConnection(page)).rejects.toThrow(
    `2 websockets to ${endpoint} were open at once.\nThe places that opened them are unknown in firefox`,
  );
});

test("counted: a second websocket after the page has loaded", async ({ page }) => {
  await openSocket(page);
  await openSocket(page, { delay: 700 });
  await expect(expectOneConnection(page)).rejects.toThrow("2 websockets");
});

test("counted: a websocket that replaces the first", async ({ page }) => {
  await openSocket(page);
  await page.evaluate(() => (window as unknown as { socket: WebSocket }).socket.close());
  await openSocket(page);
  await expectOneConnection(page);
});

test("counted: a second websocket that was open for a while", async ({ page }) => {
  await openSocket(page);
  const frame = page.waitForEvent("websocket").then((socket) => socket.waitForEvent("framereceived"));
  await openSocket(page);
  await frame;
  await page.waitForTimeout(1000);
  await page.evaluate(() => (window as unknown as { socket: WebSocket }).socket.close());
  await expect(expectOneConnection(page)).rejects.toThrow("2 websockets");
});

test("counted: a page each, for all pages of the user", async ({ page, context }) => {
  await openSocket(page);
  const other = await context.newPage();
  await openBlank(other);
  await openSocket(other);
  await expectOneConnection(page);
  await expectOneConnection(page, { connections: 2 });
  await expect(expectOneConnection(page, { connections: "per-user" })).rejects.toThrow("2 websockets");
});

test("counted: another context, and a page without an accepted websocket", async ({ page, browser }) => {
  await expect(expectOneConnection(page)).rejects.toThrow("no websocket of it was open");
  await openSocket(page, { path: "/socket.io/?EIO=4&transport=websocket&sid=unknown" });
  await expect(expectOneConnection(page)).rejects.toThrow("no websocket of it was open");
  const other = await browser.newContext();
  await expect(expectOneConnection(await other.newPage())).rejects.toThrow("only the pages of the fixture `context`");
  await other.close();
});
