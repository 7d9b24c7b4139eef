// public/dev: each page of src, with its libraries and a source map
import fs from "node:fs";
import { build } from "esbuild";

const pages = fs.readdirSync("src").filter((name) => /\.jsx?$/.test(name) && !name.startsWith("_"));
await build({
  entryPoints: pages.map((name) => `src/${name}`),
  outdir: "public/dev",
  bundle: true,
  sourcemap: true,
  jsx: "automatic",
  jsxDev: true,
  logLevel: "error",
  define: { "process.env.NODE_ENV": '"development"', global: "window" },
});
