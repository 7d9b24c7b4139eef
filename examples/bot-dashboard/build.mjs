// Builds every page of src/pages twice: dist/dev (readable) and dist/prod (minified), both with source maps.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const PAGES = readdirSync("src/pages").map((file) => basename(file, ".tsx"));
// Pages of more than one script: the second copy of a bundle, and the module that hot reload runs again.
const EXTRA = { "two-bundles": ["two-bundles", "two-bundles-widget"] };
const PARTS = new Set(["two-bundles-widget", "hot-module", "worker-script"]);

const STYLE = `
  body { font: 16px system-ui, sans-serif; margin: 2rem; color: #1d2733; background: #f4f6f8 }
  main { display: flex; gap: 1.5rem; flex-wrap: wrap }
  section { background: #fff; border: 1px solid #d5dce3; border-radius: 8px; padding: 1rem 1.5rem; min-width: 16rem }
  .up { color: #17753a } .down { color: #b3261e }
  button { font: inherit; margin-right: .5rem }
`;

function html(page) {
  const scripts = (EXTRA[page] ?? [page]).map((name) => `<script type="module" src="${name}.js"></script>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${page}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<div id="root"></div>
${scripts.join("\n")}
</html>
`;
}

async function variant(name, { minify, mode }) {
  const outdir = join("dist", name);
  mkdirSync(outdir, { recursive: true });
  await build({
    entryPoints: PAGES.map((page) => `src/pages/${page}.tsx`),
    outdir,
    bundle: true,
    format: "esm",
    minify,
    sourcemap: true,
    target: "es2022",
    jsx: "automatic",
    jsxDev: mode === "development",
    define: {
      "process.env.NODE_ENV": JSON.stringify(mode),
      "process.env.NEXT_PUBLIC_BOT_WEBSOCKET_URL": "undefined",
    },
    logLevel: "warning",
  });
  for (const page of PAGES.filter((each) => !PARTS.has(each))) writeFileSync(join(outdir, `${page}.html`), html(page));
}

rmSync("dist", { recursive: true, force: true });
await variant("dev", { minify: false, mode: "development" });
await variant("prod", { minify: true, mode: "production" });
