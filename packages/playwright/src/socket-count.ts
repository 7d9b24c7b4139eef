import type { BrowserContext, Page, WebSocket } from "@playwright/test";
import type { CheckOptions, Outcome, Watch } from "./watch.js";

/** A connection that ends within this time after the next one opened is a reconnection. */
const OVERLAP_MS = 300;

/**
 * Count of open websockets, for browsers without the DevTools protocol (Firefox, WebKit).
 *
 * It sees neither long polling nor users nor the code that opened a connection. A context has the storage of one user, so
 * its pages together are a user.
 */
export class SocketCount implements Watch {
  readonly #pages = new Map<Page, OpenSockets>();
  readonly #all = new OpenSockets();

  constructor(
    private readonly browserName: string,
    context: BrowserContext,
  ) {
    context.on("page", (page) => this.#watch(page));
    for (const page of context.pages()) this.#watch(page);
  }

  #watch(page: Page): void {
    const ofPage = new OpenSockets();
    this.#pages.set(page, ofPage);
    page.on("websocket", (socket) => {
      ofPage.add(socket);
      this.#all.add(socket);
    });
  }

  async check(page: Page, { connections }: CheckOptions): Promise<Outcome> {
    await new Promise((resolve) => setTimeout(resolve, OVERLAP_MS));
    const ofPage = this.#pages.get(page);
    ofPage?.countOpen();
    this.#all.countOpen();
    const unknown = `The places that opened them are unknown in ${this.browserName}: run this test in Chromium to see them.`;
    if (ofPage === undefined) {
      const why = `only the pages of the fixture \`context\` are watched in ${this.browserName}`;
      return { passed: false, text: `wscheck could not check the page: ${why}.` };
    }
    if (ofPage.most.size === 0) {
      return { passed: false, text: "wscheck could not check the page: no websocket of it was open." };
    }
    const overPages = connections === "per-user" || typeof connections === "number";
    const permitted = typeof connections === "number" ? connections : 1;
    const several = [...(overPages ? this.#all : ofPage).most].filter(([, most]) => most > permitted);
    const lines = several.map(([endpoint, most]) => `${most} websockets to ${endpoint} were open at once.`);
    return { passed: several.length === 0, text: [...lines, unknown].join("\n") };
  }

  async close(): Promise<void> {}
}

/** The open websockets by endpoint, and the most that were open at once. */
class OpenSockets {
  readonly most = new Map<string, number>();
  readonly #open = new Map<string, Set<WebSocket>>();
  readonly #accepted = new WeakSet<WebSocket>();

  add(socket: WebSocket): void {
    const endpoint = endpointOf(socket.url());
    const open = this.#open.get(endpoint) ?? new Set();
    this.#open.set(endpoint, open.add(socket));
    socket.on("close", () => open.delete(socket));
    // There is no event for an accepted websocket. One that the server refuses closes without a frame.
    const accepted = () => {
      if (this.#accepted.has(socket)) return;
      this.#accepted.add(socket);
      this.#count(endpoint, 1);
      setTimeout(() => this.#count(endpoint, [...open].filter((each) => this.#accepted.has(each)).length), OVERLAP_MS);
    };
    socket.on("framesent", accepted);
    socket.on("framereceived", accepted);
  }

  /** Count the websockets that are open now: after the time to settle, those without a frame are accepted too. */
  countOpen(): void {
    for (const [endpoint, open] of this.#open) if (open.size > 0) this.#count(endpoint, open.size);
  }

  #count(endpoint: string, number: number): void {
    this.most.set(endpoint, Math.max(this.most.get(endpoint) ?? 0, number));
  }
}

/** Return origin and path of a websocket's URL. */
function endpointOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
