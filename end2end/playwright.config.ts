// Browser tests against the release binary. Each test file starts the binary itself (SIGNALBOX_BIN) with a port and a data
// folder of its own, so files share nothing and can run side by side.
import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";

// The system's browser; where there is none, the one that `xtask setup --tests` put into PLAYWRIGHT_BROWSERS_PATH.
const chromium = (process.env.PATH ?? "")
  .split(":")
  .map((folder) => `${folder}/chromium`)
  .find(existsSync);

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  fullyParallel: false,
  workers: 2,
  retries: 0, // a flaky test is a bug to see
  forbidOnly: !!process.env.CI,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  use: {
    locale: "en-GB",
    timezoneId: "UTC",
    viewport: { width: 1280, height: 800 },
    contextOptions: { reducedMotion: "reduce" },
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: chromium,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--force-color-profile=srgb",
      ],
    },
  },
  projects: [
    { name: "light", use: { colorScheme: "light" }, testIgnore: /\.nojs\.spec\.ts$/ },
    { name: "dark", use: { colorScheme: "dark" }, testMatch: /\.themes\.spec\.ts$/ },
    { name: "no-javascript", use: { javaScriptEnabled: false }, testMatch: /\.nojs\.spec\.ts$/ },
  ],
});
