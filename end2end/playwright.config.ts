// Browser tests against the release binary (SIGNALBOX_BIN). Each worker starts the binary itself, with a port and a data folder
// of its own, so workers share nothing and run side by side.
import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";

// The system's browser; where there is none, the one that `xtask setup --tests` put into PLAYWRIGHT_BROWSERS_PATH.
const chromium = (process.env.PATH ?? "")
  .split(":")
  .map((folder) => `${folder}/chromium`)
  .find(existsSync);

const WITHOUT_JAVASCRIPT = /\.nojs\.spec\.ts$/;
const IN_BOTH_THEMES = /\.themes\.spec\.ts$/;
/** Pictures of screens are those of Debian's browser with Debian's fonts; letters of others have other edges. */
const PICTURES = /looks\.themes\.spec\.ts$/;
const IGNORED = chromium === "/usr/bin/chromium" ? [] : [PICTURES];

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  fullyParallel: false,
  workers: 2,
  retries: 0, // a flaky test is a bug to see
  forbidOnly: true,
  timeout: 60_000,
  expect: {
    timeout: 10_000,
    // Edges of letters may be smoother or rougher; a button that is gone is 2,000 pixels.
    toHaveScreenshot: { maxDiffPixelRatio: 0.001, threshold: 0.2, pathTemplate: "{testDir}/looks/{arg}-{projectName}{ext}" },
  },
  updateSnapshots: "none", // a picture that is missing is a failure; `npm run looks` makes it
  reporter: [["list"], ["./support/no-skips.ts"]],
  use: {
    locale: "en-GB",
    timezoneId: "UTC",
    viewport: { width: 1280, height: 800 },
    contextOptions: { reducedMotion: "reduce" },
    trace: "retain-on-failure",
    launchOptions: {
      ...(chromium ? { executablePath: chromium } : {}),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--font-render-hinting=none",
        "--disable-lcd-text",
        "--force-color-profile=srgb",
      ],
    },
  },
  projects: [
    { name: "light", use: { colorScheme: "light" }, testIgnore: [WITHOUT_JAVASCRIPT, ...IGNORED] },
    { name: "dark", use: { colorScheme: "dark" }, testMatch: IN_BOTH_THEMES, testIgnore: IGNORED },
    { name: "no-javascript", use: { javaScriptEnabled: false }, testMatch: WITHOUT_JAVASCRIPT },
    // `npm run screenshots`: the pictures of the README. No test, so it is not there unless it is asked for.
    ...(process.env.UPDATE_SCREENSHOTS === "1" ? [{ name: "screenshots", testMatch: /\.screenshots\.ts$/ }] : []),
  ],
});
