import type { Page } from "@playwright/test";
import { expect, expectOneConnection, test } from "@wscheck/playwright";

/** Open the page and wait for its handshakes: the broken page has two hooks that connect. */
async function open(page: Page, path: string, handshakes: number): Promise<void> {
  let seen = 0;
  page.on("request", (request) => (seen += /EIO=4(?!.*sid=)/.test(request.url()) ? 1 : 0));
  await page.goto(path);
  await expect.poll(() => seen).toBeGreaterThanOrEqual(handshakes);
}

test("one connection", async ({ page }) => {
  await open(page, "/fixed.html", 1);
  await expectOneConnection(page);
});

test("two connections", async ({ page }) => {
  await open(page, "/broken.html?user=ann", 2);
  await expectOneConnection(page);
});

test("accepted rules", async ({ page }) => {
  await open(page, "/broken.html?user=ben", 2);
  await expectOneConnection(page, { allow: ["multiple-connections", "connection-replaced", "excessive-attempts"] });
});

test("two contexts with a user each", async ({ page, browser }) => {
  await open(page, "/fixed.html?user=cem", 1);
  const other = await browser.newContext();
  await open(await other.newPage(), `${new URL(page.url()).origin}/fixed.html?user=dan`, 1);
  await expectOneConnection(page);
  await other.close();
});

test("a policy per call", async ({ page }) => {
  await open(page, "/fixed.html?user=eva", 1);
  await expectOneConnection(page, { connections: "per-tab" });
});

test("no connection", async ({ page }) => {
  await page.goto("about:blank");
  await expectOneConnection(page);
});
