// What every test stands on: the server of its worker, a signed-in page, a receiver, and the rule that a browser fault fails
// the test whatever it looked for.
import { type BrowserContextOptions, expect, type Locator, type Page, test as base } from "@playwright/test";
import { Api } from "./api.ts";
import { OWNER, Server } from "./binary.ts";
import { Faults } from "./faults.ts";
import { Receiver } from "./receiver.ts";
import { furnish, type World } from "./world.ts";

interface OfTest {
  /** The REST API of `server`, with every permission that a key can have. Webhooks that the test leaves are deleted. */
  api: Api;
  /** A receiver; what it got is verified when the test has ended. */
  receiver: Receiver;
  /** A server on its first run, of this test alone. */
  newcomer: Server;
  /** The page, with the owner signed in. */
  signedIn: Page;
  /** Opens an address and waits until the page is live. */
  goto: (path: string) => Promise<void>;
  /** What must not happen in the browser. */
  faults: Faults;
}

interface OfWorker {
  /** A server with an owner; the tests of a worker share it, so they use names of their own. */
  server: Server;
  /** The owner's cookie. */
  session: NonNullable<Exclude<BrowserContextOptions["storageState"], string>>;
  /** Something of everything, for tests that look at every page. */
  world: World;
}

export const test = base.extend<OfTest, OfWorker>({
  server: [
    async ({}, use) => {
      const server = await Server.ready();
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],
  session: [
    async ({ browser, server }, use) => {
      const context = await browser.newContext({ baseURL: server.url, javaScriptEnabled: false });
      const page = await context.newPage();
      await page.goto("/login");
      await signIn(page, OWNER.email, OWNER.password);
      await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
      const session = await context.storageState();
      await context.close();
      await use(session);
    },
    { scope: "worker" },
  ],
  baseURL: async ({ server }, use) => use(server.url),
  world: [async ({ server }, use) => use(await furnish(new Api(server.url, OWNER.apiKey))), { scope: "worker" }],
  api: async ({ server }, use) => {
    const api = new Api(server.url, OWNER.apiKey);
    const before = new Set((await api.webhooks()).map(({ id }) => id));
    await use(api);
    // What one test subscribed to must not be sent what the next one publishes.
    for (const { id } of await api.webhooks()) if (!before.has(id)) await api.deleteWebhook(id);
  },
  receiver: async ({ api }, use) => {
    const receiver = await Receiver.start();
    await use(receiver);
    await receiver.stop();
    await receiver.verify(api);
  },
  newcomer: async ({ context, faults }, use) => {
    const server = await Server.unconfigured();
    faults.allow(server.url);
    await use(server);
    // Before their server goes: a page that loses its live connection says so on the console.
    for (const page of context.pages()) await page.close();
    await server.stop();
  },
  signedIn: async ({ page, session }, use) => {
    await page.context().addCookies(session.cookies);
    await use(page);
  },
  goto: async ({ page, javaScriptEnabled }, use) => {
    await use(async (path) => {
      await page.goto(path);
      if (javaScriptEnabled) await hydrated(page);
    });
  },
  faults: [
    async ({ context, server }, use, testInfo) => {
      const faults = new Faults(context, server.url);
      const before = server.log.length;
      await use(faults);
      if (testInfo.status !== testInfo.expectedStatus) {
        await testInfo.attach("server.log", { body: server.log.slice(before).join("\n"), contentType: "text/plain" });
      }
      faults.check();
    },
    { auto: true },
  ],
});

export { expect };

/** Waits until a page that was loaded is live. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator("html")).toHaveAttribute("data-hydrated", "true", { timeout: 30_000 });
}

/** Fills in the form of `/login`. */
export async function signIn(page: Page, email: string, password: string): Promise<void> {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

let names = 0;

/** A name that nothing else in this worker has. */
export function unique(name: string): string {
  names += 1;
  return `${name} ${names}`;
}

/** Expects `message` at a field, tied to it for assistive technology. */
export async function expectFieldError(field: Locator, message: string): Promise<void> {
  await expect(field).toHaveAttribute("aria-invalid", "true");
  // The hint or the unit, if there is one, comes first.
  const words = message.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  await expect(field).toHaveAccessibleDescription(new RegExp(`(^|[.?] |^(attempts|seconds|days|per second|failures|consecutive failures|ms) )${words}$`));
}

/** What opens and closes a `<details>`. It has no role of its own. */
export function disclosure(scope: Page | Locator, text: string): Locator {
  return scope.locator("summary").filter({ hasText: text });
}

/** The row of a table in which `text` stands. */
export function row(scope: Page | Locator, text: string | RegExp): Locator {
  return scope.getByRole("row").filter({ hasText: text });
}
