/** Setup file of Vitest, and of Jest with ES modules: every test fails that leaves a connection open. */
import { checkEachTest, type Runner } from "./each-test.js";

const globals = globalThis as unknown as Partial<Runner>;
const name = "vitest";
const runner = globals.beforeEach ? globals : await import(name);
await checkEachTest(runner as Runner);
