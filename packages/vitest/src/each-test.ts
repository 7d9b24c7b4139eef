import { counter, expectAllClosed } from "./index.js";

type Hook = (callback: () => void | Promise<void>) => void;

/** The hooks of a test runner. */
export interface Runner {
  beforeAll: Hook;
  beforeEach: Hook;
  afterEach: Hook;
}

/** Count the connections of each test from now on, and fail a test that leaves one open. */
export async function checkEachTest({ beforeAll, beforeEach, afterEach }: Runner): Promise<void> {
  const installed = counter.install();
  beforeAll(() => installed);
  beforeEach(() => void counter.takeOpen());
  // Runners call these hooks in reverse order: this one is called after the cleanup of the testing library.
  afterEach(expectAllClosed);
  await installed;
}
