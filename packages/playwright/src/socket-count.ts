import type { BrowserContext, Page, WebSocket } from "@playwright/test";
import type { CheckOptions, Outcome, Watch } from "./watch.js";

/** A connection that ends within this time after the next one opened is a reconnection. */
const OVERLAP_MS = 300;

/**
 * Count of open websockets, for browsers without the DevTools protocol (Firefox, WebKit).
 *
 * It sees neither long polling nor users nor the code that opened a connection.
 */
export class SocketCount implements Watch {
  readonly #open = new Map<Page, Map<string, Set<WebSocket>>>();
  readonly #most = new Map<Page, Map<string, number>>();

  constructor(
    private readonly browserName: string,
    context: BrowserContext,
    private readonly defaults: CheckOptions,
  ) {
    context.on("page", (page) => this.#watch(page));
    for (const page of context.pages()) this.#watch(page);
  }

  #watch(page: Page): void {
    const open = new Map<string, Set<WebSocket>>();
    const most = new Map<string, number>();
    this.#open.set(page, open);
    this.#most.set(page, most);
    page.on("websocket", (socket) => {
      const endpoint = endpointOf(socket.url());
      const sockets = open.get(endpoint) ?? new Set();
      open.set(endpoint, sockets.add(socket));
      most.set(endpoint, most.get(endpoint) ?? 1);
      socket.on("close", () => sockets.delete(socket));
      setTimeout(() => most.set(endpoint, Math.max(most.get(endpoint) ?? 1, sockets.size)), OVERLAP_MS);
    });
  }

  async check(page: Page, given: CheckOptions): Promise<Outcome> {
    const { connections } = { ...this.defaults, ...given };
    const permitted = typeof connections === "number" ? connections : 1;
    await new Promise((resolve) => setTimeout(resolve, OVERLAP_MS));
    const counts = [...(this.#most.get(page) ?? [])];
    const unknown = `The places that opened them are unknown in ${this.browserName}: run this test in Chromium to see them.`;
    if (counts.length === 0) {
      return { passed: false, text: `wscheck could not check the page: it opened no websocket.` };
    }
    const several = counts.filter(([, most]) => most > permitted);
    const lines = several.map(([endpoint, most]) => `${most} websockets to ${endpoint} were open at once.`);
    return { passed: several.length === 0, text: [...lines, unknown].join("\n") };
  }

  async close(): Promise<void> {}
}

/** Return origin and path of a websocket's URL. */
function endpointOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
