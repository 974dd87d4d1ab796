// What must not happen in a browser while a test runs: errors on the console, exceptions, answers of 500 and more, requests
// to anywhere else. A test that provokes one says so beforehand, and then it has to happen.
import type { BrowserContext } from "@playwright/test";

/** What it comes to that tests look into a frame that may run nothing: Playwright and axe run something to look. */
const LOOKED_INTO_A_FRAME = /^Blocked script execution in '(about:blank|http:\/\/[^']+\/_ui\/[^']+\/html)' because/;

export class Faults {
  readonly #found: string[] = [];
  readonly #expected: RegExp[] = [];
  readonly #origins: Set<string>;

  constructor(context: BrowserContext, origin: string) {
    this.#origins = new Set([origin]);
    context.on("console", (message) => {
      if (message.type() === "error" && !LOOKED_INTO_A_FRAME.test(message.text())) this.#found.push(`console: ${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => this.#found.push(`exception: ${error.error().stack ?? error.error().message}`));
    context.on("response", (response) => {
      if (response.status() >= 500) this.#found.push(`answer: ${response.status()} of ${response.url()}`);
    });
    context.on("request", (request) => {
      const url = new URL(request.url());
      const isLocal = ["data:", "blob:", "about:"].includes(url.protocol);
      if (!isLocal && !this.#origins.has(url.origin)) this.#found.push(`foreign request: ${request.url()}`);
    });
  }

  /** Another server that this test's pages are from. */
  allow(origin: string): void {
    this.#origins.add(origin);
  }

  /** The test provokes this. Chromium logs "Failed to load resource … 422" for a refused form, for instance. */
  expect(fault: RegExp): void {
    this.#expected.push(fault);
  }

  /** Throws when something happened that should not have, or the other way round. */
  check(): void {
    const faults = this.#found.filter((found) => !this.#expected.some((fault) => fault.test(found)));
    if (faults.length > 0) throw new Error(`The browser had faults:\n- ${faults.join("\n- ")}`);
    const missing = this.#expected.filter((fault) => !this.#found.some((found) => fault.test(found)));
    if (missing.length > 0) throw new Error(`Expected faults did not happen: ${missing.join(", ")}`);
  }
}
