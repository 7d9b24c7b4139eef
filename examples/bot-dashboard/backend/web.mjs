// Plain HTTP beside Socket.IO: /counters, and the built pages.

import { readFile } from "node:fs/promises";
import { extname, join, normalize, resolve, sep } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".map": "application/json",
  ".json": "application/json",
};

/** The file that `pathname` names below `root`: its body (undefined when there is none) and its type. */
async function file(root, pathname) {
  const base = resolve(root);
  try {
    const wanted = normalize(join(base, decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname)));
    if (!wanted.startsWith(base + sep)) return {};
    return { body: await readFile(wanted), type: TYPES[extname(wanted)] ?? "text/plain" };
  } catch {
    return {}; // a malformed escape, a directory, or nothing there
  }
}

/** The request handler: counters as JSON, files below `root` if there is one, else 404. */
export function createWeb(counters, root) {
  return async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    if (pathname === "/counters") {
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(counters));
    }
    const found = root ? await file(root, pathname) : undefined;
    if (found?.body === undefined) return response.writeHead(404).end("not found\n");
    response.writeHead(200, { "content-type": found.type, "cache-control": "no-store" }).end(found.body);
  };
}
