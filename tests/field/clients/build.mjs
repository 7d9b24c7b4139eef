// public/NAME.js with a source map for each page of src; files with a capital letter are parts of pages
import fs from "node:fs";
import { build } from "esbuild";

const pages = fs.readdirSync("src").filter((name) => /^[a-z].*\.jsx$/.test(name));
await build({
  entryPoints: pages.map((name) => `src/${name}`),
  outdir: "public",
  bundle: true,
  logLevel: "error",
  jsx: "automatic",
  jsxDev: true,
  sourcemap: true,
  define: { "process.env.NODE_ENV": '"development"', global: "window" },
});
