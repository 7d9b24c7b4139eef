// The faults the backend can be given, each in one place; docs/reference-backend.md says what each breaks.

export const FAULTS = [
  "close-transport",
  "emit-twice",
  "drop-event",
  "slow-lookup",
  "trust-user-id",
  "leak-events",
  "never-reap",
  "accept-any-token",
  "log-nothing",
];

export const LOOKUP_MS = 100;

/** Resolves at once, or after the time a slow directory takes when `slow-lookup` is on. */
export function lookupDelay(faults) {
  return faults.has("slow-lookup") ? new Promise((done) => setTimeout(done, LOOKUP_MS)) : undefined;
}

/** How the old connection ends when a new one takes its place. */
export function closeOld(socket, faults) {
  if (faults.has("close-transport")) socket.conn.close();
  else socket.disconnect();
}

/** Keeps a connection whose client went silent: the ping still goes out, its deadline is never set. */
export function neverReap(engineSocket) {
  engineSocket.resetPingTimeout = () => {};
}
