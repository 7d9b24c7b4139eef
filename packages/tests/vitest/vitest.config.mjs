import { defineConfig } from "vitest/config";

export default defineConfig({ test: { environment: process.env.ENVIRONMENT, setupFiles: ["@wscheck/vitest/setup"] } });
