import type { Page } from "@playwright/test";

const SETTLE_MS = 1000;

/** A page that never settles is checked after this many times the time to settle. */
const MOST = 5;

/** Wait until no page of this context has opened a websocket for a while. */
export async function settled(page: Page, milliseconds = SETTLE_MS): Promise<void> {
  let last = Date.now();
  const end = last + MOST * milliseconds;
  const opened = () => (last = Date.now());
  const watch = (other: Page) => other.on("websocket", opened);
  const context = page.context();
  context.pages().forEach(watch);
  context.on("page", watch);
  const due = () => Math.min(last + milliseconds, end) - Date.now();
  for (let wait = due(); wait > 0; wait = due()) await new Promise((resolve) => setTimeout(resolve, wait));
  context.off("page", watch);
  for (const other of context.pages()) other.off("websocket", opened);
}
