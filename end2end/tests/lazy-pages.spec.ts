// The code of a page comes with the page (ADR 0004): the others are fetched when nobody waits, and a tab whose server was upgraded
// says so instead of showing nothing.
import type { Page } from "@playwright/test";
import { expect, hydrated, test, unique } from "../support/test.ts";

const heading = { level: 1 } as const;

/** What has code of its own that was asked for, before the page was live or at any time. */
function asked(page: Page, before: boolean): Promise<string[]> {
  return page.evaluate((before) => {
    const live = performance.getEntriesByName("hydrated")[0]?.startTime ?? 0;
    const found = performance.getEntriesByType("resource").filter(({ startTime }) => !before || startTime < live);
    const parts = found.map(({ name }) => /\/pkg\/(?:page|part)_([a-z_]+)\./.exec(name)?.[1] ?? "");
    return [...new Set(parts)].filter((part) => part !== "").sort();
  }, before);
}

test("a first visit loads its own page; the others follow once it is live", async ({ page, goto }) => {
  await goto("/login");
  await expect.poll(() => asked(page, false)).toEqual(expect.arrayContaining(["deliveries", "integration", "overview", "webhook", "webhook_test"]));
  expect(await asked(page, true)).toEqual(["login"]);
});

test("of a page with tabs a first visit loads the tab that is shown", async ({ signedIn: page, goto, api }) => {
  const url = await api.inspectorUrl();
  const webhook = await api.createWebhook({ name: unique("Tabs"), url, events: ["job.created"] });
  await goto(`/webhooks/${webhook.id}?tab=signature`);
  const before = await asked(page, true);
  expect(before).toContain("webhook_signature");
  expect(before).not.toContain("webhook_test");
  await page.getByRole("link", { name: "Test", exact: true }).click();
  await expect(page.getByRole("button", { name: "Send Test Webhook" })).toBeVisible();
});

test("a palette whose code is gone says so", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 404/);
  faults.expect(/console: TypeError/);
  await page.route(/\/pkg\/part_later_overlays\./, (route) => route.fulfill({ status: 404 }));
  await goto("/");
  await page.keyboard.press("Control+k");
  await expect(page.getByText("This needs the server, which cannot be reached.")).toBeVisible();
});

test("a page whose code is gone says so, and a reload brings it", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 404/);
  faults.expect(/console: TypeError/); // what compiling an answer of 404 comes to
  await page.route(/\/pkg\/part_deliveries\./, (route) => route.fulfill({ status: 404 }));
  await goto("/");
  await page.getByRole("link", { name: "Deliveries", exact: true }).click();
  await expect(page.getByRole("heading", heading)).toHaveText("This page could not be loaded");
  await page.unroute(/\/pkg\/part_deliveries\./);
  await page.getByRole("link", { name: "Reload" }).click();
  await expect(page).toHaveURL("/deliveries");
  await hydrated(page);
  await expect(page.getByRole("heading", heading)).toHaveText("Deliveries");
});
