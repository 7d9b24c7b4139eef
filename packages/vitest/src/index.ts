/**
 * Count the connections that tests open, and fail a test that leaves one open.
 *
 * `@wscheck/vitest/setup` in `setupFiles` (Vitest) or `setupFilesAfterEnv` (Jest) does it for every test. The functions
 * of this module are for assertions of your own.
 */
import { ConnectionCounter, type OpenedConnection } from "./connection-counter.js";

export type { OpenedConnection } from "./connection-counter.js";

const KEY = Symbol.for("wscheck.connection-counter");

/** The counter of this test file. It is global, because the setup file and a test may load this module in two formats. */
export const counter = ((globalThis as unknown as Record<symbol, ConnectionCounter>)[KEY] ??= new ConnectionCounter());

/** Return the connections that are open now, in the order in which they were opened. */
export function openConnections(): OpenedConnection[] {
  return counter.open();
}

/**
 * Accept connections that stay open after a test, for example one that a module shares between all tests.
 *
 * @param isAllowed  called with each open connection
 */
export function allowOpen(isAllowed: (connection: OpenedConnection) => boolean): void {
  counter.isAllowed = isAllowed;
}

/**
 * Fail if a connection is open that was opened since the last call.
 *
 * @throws Error  with the kind, address and place of each of them
 */
export function expectAllClosed(): void {
  const left = counter.takeOpen();
  if (left.length === 0) return;
  const many = left.length === 1 ? "1 connection is" : `${left.length} connections are`;
  const lines = left.map((one) => `  ${one.kind} ${one.url}${one.place ? `, opened at ${one.place}` : ""}`);
  const fix = "Close it where its component is left: in the effect's cleanup, onUnmounted, or at the end of the test.";
  throw new Error([`${many} still open after this test:`, ...lines, fix].join("\n"));
}
