/** Setup file of Jest with CommonJS: every test fails that leaves a connection open. */
import { checkEachTest, type Runner } from "./each-test.js";

void checkEachTest(globalThis as unknown as Runner);
