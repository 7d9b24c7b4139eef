import { defineConfig } from "@playwright/test";

const port = process.env.PORT;
const dashboard = "../../../examples/bot-dashboard";

export default defineConfig({
  testDir: ".",
  workers: 2,
  fullyParallel: true,
  reporter: "line",
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    launchOptions: { executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] },
  },
  webServer: {
    command: `node ${dashboard}/backend/server.mjs --static ${dashboard}/dist/prod --port ${port}`,
    url: `http://127.0.0.1:${port}/fixed.html`,
  },
});
