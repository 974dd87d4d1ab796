// What holds for every page: the same by link and by address, nothing lost at 360 pixels, and a decent answer where nothing is.
import type { Page } from "@playwright/test";
import { Api } from "../support/api.ts";
import { OWNER, Server } from "../support/binary.ts";
import { expect, hydrated, test } from "../support/test.ts";
import { furnish, screens } from "../support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });

/** What the page says, without how long ago things were. */
async function content(page: Page): Promise<string> {
  const snapshot = await page.getByRole("main").ariaSnapshot();
  return snapshot.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|just now|(in )?\d+ (s|min|h|d)( ago)?/g, "TIME").replaceAll(" [active]", "");
}

const DELIVERY = ["Webhooks", "Approvals - Zapier", "Deliveries @Webhook", "approval.delegated"];

// By links only, from the overview. Lists of everything show the newest fifty, so the world is looked for where other tests of the
// same worker leave nothing.
const WAYS: [name: string, path: RegExp, ...links: (string | RegExp)[]][] = [
  ["overview", /^\/$/, "Webhooks", "Overview"],
  ["integrations", /^\/integrations$/, "Integrations"],
  ["add integration", /^\/integrations\/new$/, "Integrations", "Add Integration"],
  ["integration", /^\/integrations\/int_\w+$/, "Integrations", "Applicant API"],
  ["integration, settings", /^\/integrations\/int_\w+\?tab=settings$/, "Integrations", "Applicant API", "Settings @Integration"],
  ["integration, runbook", /^\/integrations\/int_\w+\?tab=runbook$/, "Integrations", "Applicant API", "Runbook @Integration"],
  ["logs", /^\/logs$/, "Logs"],
  ["alerts", /^\/alerts$/, "Alerts"],
  ["webhooks", /^\/webhooks$/, "Webhooks"],
  ["new webhook", /^\/webhooks\/new$/, "New Webhook"],
  ["webhook", /^\/webhooks\/whk_\w+$/, "Webhooks", "Approvals - Zapier"],
  ["webhook, deliveries", /^\/webhooks\/whk_\w+\?tab=deliveries$/, "Webhooks", "Approvals - Zapier", "Deliveries @Webhook"],
  ["webhook, settings", /^\/webhooks\/whk_\w+\?tab=settings$/, "Webhooks", "Approvals - Zapier", "Settings @Webhook"],
  ["webhook, secret", /^\/webhooks\/whk_\w+\?tab=secret$/, "Webhooks", "Approvals - Zapier", "Secret @Webhook"],
  ["events", /^\/events$/, "Events"],
  ["event", /^\/events\/evt_\w+$/, ...DELIVERY, /^evt_/],
  ["deliveries", /^\/deliveries$/, "Deliveries"],
  ["delivery", /^\/deliveries\/dlv_\w+$/, ...DELIVERY],
  ["dead letters", /^\/dead-letters$/, "Dead letters"],
  ["jobs", /^\/jobs$/, "Jobs"],
  ["retry policy", /^\/retry-policy$/, "Retry policy"],
  ["inspector", /^\/inspector$/, "Inspector"],
  ["API keys", /^\/api$/, "API keys"],
  ["settings", /^\/settings$/, "Settings"],
];

for (const [name, path, ...links] of WAYS) {
  test(`${name}: the same by address and by link`, async ({ signedIn: page, goto, world }) => {
    expect(world.webhook).toBeTruthy();
    await goto("/");
    for (const link of links) {
      const [text, nav] = typeof link === "string" ? link.split(" @") : [link];
      const scope = nav ? page.getByRole("navigation", { name: nav }) : page;
      await scope.getByRole("link", { name: text, exact: true }).first().click();
    }
    await expect.poll(() => page.url().slice(new URL(page.url()).origin.length)).toMatch(path);
    await expect(page.locator("html")).toHaveAttribute("data-hydrated", "true"); // and it was never loaded anew
    await expect(heading(page)).toBeVisible();
    const title = await heading(page).textContent();
    await expect(page).toHaveTitle(`${title} · Signalbox`);

    const byAddress = await page.context().newPage();
    await byAddress.goto(page.url());
    await hydrated(byAddress);
    await expect(heading(byAddress)).toHaveText(title ?? "");
    await expect(byAddress).toHaveTitle(`${title} · Signalbox`);
    await expect(async () => expect(await content(page)).toBe(await content(byAddress))).toPass({ timeout: 10_000 });
  });
}

test("every page has its one heading, and fits into 360 pixels", async ({ signedIn: page, goto, world }) => {
  test.slow(); // twenty pages
  await page.setViewportSize({ width: 360, height: 740 });
  for (const screen of screens(world)) {
    await test.step(screen.name, async () => {
      await goto(screen.path);
      await expect(heading(page)).toHaveText(screen.heading);
      await expectToFit(page);
    });
  }
  await test.step("API docs", async () => {
    await page.goto("/api/docs");
    await expectToFit(page);
  });
});

test("the doors fit into 360 pixels", async ({ page, goto, newcomer }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await goto("/login");
  await expectToFit(page);
  await goto(newcomer.setupLink);
  await expectToFit(page);
});

async function expectToFit(page: Page): Promise<void> {
  const { scrollWidth, clientWidth, culprits } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    const wide = [...document.querySelectorAll("main *")].filter((it) => it.getBoundingClientRect().right > clientWidth + 1);
    return { scrollWidth, clientWidth, culprits: wide.slice(0, 5).map((it) => it.outerHTML.slice(0, 120)) };
  });
  expect(scrollWidth, `wider than the window, perhaps because of\n${culprits.join("\n")}`).toBeLessThanOrEqual(clientWidth);
}

test("on a small screen the menu opens, leads on, and closes", async ({ signedIn: page, goto }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await goto("/");
  const link = page.getByRole("link", { name: "Deliveries", exact: true });
  await expect(link).not.toBeInViewport();
  await page.getByRole("button", { name: "Menu" }).click();
  await expect(link).toBeInViewport();
  await link.click();
  await expect(heading(page)).toHaveText("Deliveries");
  await expect(link).not.toBeInViewport();
});

test("where there is nothing, the page says so and leads back", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 404/);
  for (const [path, text] of [
    ["/no/such/page", "Page not found"],
    ["/webhooks/whk_01h455vb4pex5vsknk084sn02q", "Webhook not found"],
    ["/webhooks/nonsense", "Webhook not found"],
    ["/events/evt_01h455vb4pex5vsknk084sn02q", "Event not found"],
    ["/deliveries/dlv_01h455vb4pex5vsknk084sn02q", "Delivery not found"],
  ] as const) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await hydrated(page);
    await expect(heading(page)).toHaveText(text);
    await page.getByRole("link", { name: "Back to the overview" }).click();
    await expect(heading(page)).toHaveText("Overview");
  }
  await goto("/webhooks/nonsense");
  await expect(page.getByText(/^Request [0-9a-f]{16}/)).toBeVisible(); // to be found in the log
});

test("what belongs to somebody else is not there", async ({ signedIn: page, faults }) => {
  faults.expect(/status of 404/);
  const elsewhere = await Server.ready();
  const theirs = await furnish(new Api(elsewhere.url, OWNER.apiKey));
  for (const path of [
    `/webhooks/${theirs.webhook}`,
    `/webhooks/${theirs.webhook}?tab=secret&show=1`,
    `/events/${theirs.event}`,
    `/deliveries/${theirs.delivered}`,
    `/webhooks/${theirs.webhook}?tab=test&delivery=${theirs.delivered}`,
  ]) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await hydrated(page);
    await expect(heading(page)).toHaveText(/^(Webhook|Event|Delivery) not found$/);
    await expect(page.getByText("Approvals - Zapier")).toHaveCount(0);
  }
  await elsewhere.stop();
});

test("answers carry the headers that browsers heed", async ({ signedIn: page, server }) => {
  const response = await page.request.get("/webhooks");
  const headers = response.headers();
  expect(headers["content-security-policy"]).toMatch(/script-src 'nonce-\S+'.*frame-ancestors 'none'/);
  expect(headers["x-content-type-options"]).toBe("nosniff");
  expect(headers["cache-control"]).toBe("no-store");
  const script = /href="(\/pkg\/[^"]+\.js)"/.exec(await response.text())?.[1];
  const file = await page.request.get(`${server.url}${script}`);
  expect(file.headers()["cache-control"]).toContain("immutable");
});
