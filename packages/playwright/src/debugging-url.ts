import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "@playwright/test";

export const PORT_OPTION = "--remote-debugging-port";

/**
 * Return the address of the debugging port of a Chromium that Playwright launched.
 *
 * A Chromium that chose the port itself writes it to the file DevToolsActivePort in its profile. The command line that
 * it reports contains the path of the profile.
 */
export async function debuggingUrl(browser: Browser): Promise<string> {
  const session = await browser.newBrowserCDPSession();
  const { commandLine } = await session.send("SystemInfo.getInfo");
  await session.detach();
  const port = commandLine.match(new RegExp(`${PORT_OPTION}=(\\d+)`))?.[1];
  if (port !== undefined && port !== "0") {
    return `http://127.0.0.1:${port}`;
  }
  const profile = commandLine.match(/--user-data-dir=(.+?)(?= --|$)/)?.[1]?.replaceAll('"', "");
  try {
    if (port === undefined || profile === undefined) throw new Error("no debugging port");
    const [chosen, path] = (await readFile(join(profile, "DevToolsActivePort"), "utf8")).split(/\r?\n/);
    return `ws://127.0.0.1:${chosen}${path}`;
  } catch {
    throw new Error(
      `wscheck cannot read the debugging port of this browser. Use the \`browser\` fixture on this machine, or launch it with ${PORT_OPTION}=9222.`,
    );
  }
}
