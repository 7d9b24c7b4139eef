import type { Page } from "@playwright/test";

export interface CheckOptions {
  /** Connections that a user may have: a number over all pages, or one per page (`"per-tab"`). One by default. */
  connections?: number | "per-user" | "per-tab";
  /** Ids of rules whose findings are accepted, for example `["excessive-attempts"]`. */
  allow?: string[];
  /**
   * Time without a new websocket after which the page counts as settled, in milliseconds; 1000 by default. The check waits
   * for it, at most five times as long, so that it sees connections that the page opens late.
   */
  settle?: number;
}

/** Result of a check. `text` is the report: why it did not pass. */
export interface Outcome {
  passed: boolean;
  text: string;
}

/** Watch of the connections of one test. */
export interface Watch {
  /** End the watch and evaluate it. */
  check(page: Page, options: CheckOptions): Promise<Outcome>;
  /** End the watch without a result. */
  close(): Promise<void>;
}
