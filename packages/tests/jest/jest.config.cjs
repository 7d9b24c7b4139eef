const esm = process.env.MODULES === "esm";

module.exports = {
  testEnvironment: "jsdom",
  setupFilesAfterEnv: [esm ? "@wscheck/vitest/setup-esm" : "@wscheck/vitest/setup"],
  testMatch: [esm ? "**/*.test.mjs" : "**/*.test.cjs"],
  moduleFileExtensions: ["js", "mjs", "cjs", "json"],
  transform: {},
};
