/** Setup file of Vitest and Jest: every test fails that leaves a connection open. */
import { counter, expectAllClosed } from "./index.js";

type Hook = (callback: () => void | Promise<void>) => void;
type Runner = { beforeEach: Hook; afterEach: Hook };

const { beforeEach, afterEach } = await runner();
await counter.install();
beforeEach(() => void counter.takeOpen());
// Runners call these hooks in reverse order: this one is called after the cleanup of the testing library.
afterEach(expectAllClosed);

async function runner(): Promise<Runner> {
  const globals = globalThis as unknown as Partial<Runner>;
  if (globals.beforeEach && globals.afterEach) return globals as Runner;
  const name = "vitest";
  return (await import(name)) as Runner;
}
