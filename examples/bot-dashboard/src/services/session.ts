// What a page is told in its address: whose session it is, where the backend is, and over which transports.

import type { ManagerOptions, SocketOptions } from "socket.io-client";

declare const process: { env: { NEXT_PUBLIC_BOT_WEBSOCKET_URL?: string } };

const asked = new URLSearchParams(location.search);

export const userId = asked.get("user") ?? "user_123";
export const firebaseToken = asked.get("token") ?? `token-of-${userId}`;
export const backendUrl = asked.get("backend") ?? process.env.NEXT_PUBLIC_BOT_WEBSOCKET_URL ?? location.origin;
export const strictMode = asked.get("strict") === "1";

/** Milliseconds after which a kicked component connects again; undefined leaves a kicked socket down, as a stock
 *  client does. */
export const retryAfter = asked.has("retry") ? Number(asked.get("retry")) : undefined;

/** The documented connection options, and the transports of the address. */
export function options(): Partial<ManagerOptions & SocketOptions> {
  const transports = asked.get("transports")?.split(",") ?? ["polling", "websocket"];
  return { auth: { token: firebaseToken, userId }, timeout: 20000, transports };
}
