// Who holds which sockets, and what happens when a user connects once more.

import { closeOld, lookupDelay } from "./faults.mjs";

export const POLICIES = ["replace", "reject", "allow"];

/** The sockets of every user, under one policy. `onReplace(userId, old, fresh)` is told before an old one is closed. */
export class Holdings {
  #sockets = new Map();

  constructor({ policy, faults }, onReplace) {
    this.policy = policy;
    this.faults = faults;
    this.onReplace = onReplace;
  }

  of(userId) {
    return [...(this.#sockets.get(userId) ?? [])];
  }

  /** Throws "already connected" where the policy refuses a second connection. */
  async admit(userId) {
    const held = this.of(userId);
    const waited = lookupDelay(this.faults);
    if (this.policy !== "reject") return;
    if (held.length) throw new Error("already connected");
    // Not awaited unless slow: one turn of the event loop must not pass between the look and the connection.
    if (waited) await waited;
  }

  /** Stores `socket`, and under `replace` closes what the lookup found before it. */
  async add(userId, socket) {
    const old = this.of(userId);
    const waited = this.policy === "reject" ? undefined : lookupDelay(this.faults);
    if (waited) await waited;
    if (!socket.connected) return;
    this.#store(userId, socket);
    if (this.policy !== "replace") return;
    for (const one of old.filter((each) => each.connected)) {
      this.onReplace(userId, one, socket);
      closeOld(one, this.faults);
    }
  }

  #store(userId, socket) {
    if (!this.#sockets.has(userId)) this.#sockets.set(userId, new Set());
    this.#sockets.get(userId).add(socket);
  }

  remove(userId, socket) {
    const held = this.#sockets.get(userId);
    held?.delete(socket);
    if (held?.size === 0) this.#sockets.delete(userId);
  }
}
