/** A connection that a test opened. */
export interface OpenedConnection {
  kind: "WebSocket" | "EventSource" | "Socket.IO";
  url: string;
  /** File, line and column of the call outside node_modules; empty if unknown. */
  place: string;
}

interface Entry extends OpenedConnection {
  closed: boolean;
}

/** What is read of a WebSocket or EventSource, a real one or a fake. */
interface Closable {
  close(...values: unknown[]): unknown;
  addEventListener?(type: "close", listener: () => void): void;
  readyState?: number;
}

/** What is read of a Manager of socket.io-client. */
interface Manager {
  uri: string;
  open(...values: unknown[]): unknown;
  _close(): void;
}

const CLOSING = 2;

/** Count of the connections that are opened through WebSocket, EventSource and socket.io-client. */
export class ConnectionCounter {
  isAllowed: (connection: OpenedConnection) => boolean = () => false;
  #entries: Entry[] = [];
  #countsSocketIO = false;

  /** Observe the constructors of this environment (jsdom, happy-dom, Node) and, if it is installed, socket.io-client. */
  async install(): Promise<void> {
    this.#observe("WebSocket");
    this.#observe("EventSource");
    const name = "socket.io-client";
    const library = (await import(name).catch(() => undefined)) as { Manager?: { prototype: Manager } } | undefined;
    if (library?.Manager) this.#observeManager(library.Manager.prototype);
  }

  open(): OpenedConnection[] {
    return this.#entries.filter((entry) => !entry.closed);
  }

  /** Return the open connections that are not allowed, and forget all of them. */
  takeOpen(): OpenedConnection[] {
    const open = this.open().filter((entry) => !this.isAllowed(entry));
    this.#entries = [];
    return open;
  }

  #add(kind: OpenedConnection["kind"], url: string): Entry {
    const entry = { kind, url, place: placeOf(new Error().stack ?? ""), closed: false };
    this.#entries.push(entry);
    return entry;
  }

  #observe(kind: "WebSocket" | "EventSource"): void {
    const globals = globalThis as unknown as Record<string, (new (...values: unknown[]) => Closable) | undefined>;
    const original = globals[kind];
    if (original === undefined) return;
    globals[kind] = new Proxy(original, {
      construct: (target, values, newTarget) => {
        const socket = Reflect.construct(target, values, newTarget) as Closable;
        // socket.io-client opens this one, and is counted itself.
        if (!(this.#countsSocketIO && /[?&]EIO=/.test(String(values[0])))) this.#follow(kind, String(values[0]), socket);
        return socket;
      },
    });
  }

  #follow(kind: "WebSocket" | "EventSource", url: string, socket: Closable): void {
    const entry = this.#add(kind, url);
    const close = socket.close;
    socket.close = (...values) => {
      entry.closed = true;
      return close.apply(socket, values);
    };
    // The server closed a websocket. An EventSource has no such event: it reconnects until its page closes it.
    socket.addEventListener?.("close", () => (entry.closed = true));
    if ((socket.readyState ?? 0) >= CLOSING) entry.closed = true;
  }

  #observeManager(manager: Manager): void {
    const counter = this;
    const entries = new WeakMap<Manager, Entry>();
    const { open, _close } = manager;
    this.#countsSocketIO = true;
    manager.open = function (this: Manager, ...values) {
      // A manager opens again for each reconnection: it is one connection until it is closed.
      if (entries.get(this)?.closed ?? true) entries.set(this, counter.#add("Socket.IO", this.uri));
      return open.apply(this, values);
    };
    (manager as unknown as Record<string, unknown>).connect = manager.open;
    manager._close = function (this: Manager) {
      const entry = entries.get(this);
      if (entry) entry.closed = true;
      return _close.call(this);
    };
  }
}

/** Return the first place of a stack outside node_modules and this module. */
function placeOf(stack: string): string {
  const places = stack.split("\n").slice(1).map((line) => line.match(/\(?((?:file:\/\/|[A-Za-z]:[\\/]|\/)[^()]+:\d+:\d+)\)?$/)?.[1]);
  const own = places.find((place) => place && !/node_modules|[\\/]vitest[\\/]dist[\\/]|node:internal/.test(place)) ?? "";
  return own.replace(/^file:\/\//, "").replace(`${process.cwd()}/`, "");
}
