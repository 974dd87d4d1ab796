// While the WASM is still on its way: what is typed stays, and forms post as they would without it.
import type { Page } from "@playwright/test";
import { gate } from "../support/receiver.ts";
import { expect, expectFieldError, hydrated, test, unique } from "../support/test.ts";

/** Holds the WASM back until `open` is called. */
async function holdWasm(page: Page): Promise<() => void> {
  const { opened, open } = gate();
  await page.route("**/*.wasm", async (route) => {
    await opened;
    await route.continue();
  });
  return open;
}

test("what was typed and ticked before the page was live is still there after", async ({ signedIn: page, api }) => {
  const name = unique("Typed early");
  const open = await holdWasm(page);
  await page.goto("/webhooks/new");
  await page.getByLabel("Webhook Name").fill(name);
  await page.getByRole("checkbox", { name: "job.created", exact: true }).check();
  await page.getByRole("checkbox", { name: "Active", exact: true }).uncheck();
  open();
  await hydrated(page);
  await expect(page.getByLabel("Webhook Name")).toHaveValue(name);
  await page.getByLabel("Webhook URL").fill(await api.inspectorUrl());
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(name);
  expect(await api.webhookNamed(name)).toMatchObject({ events: ["job.created"], state: "disabled" });
});

test("a form that is sent before the page is live is refused and accepted all the same", async ({ signedIn: page, api }) => {
  const name = unique("Sent early");
  const open = await holdWasm(page);
  await page.goto("/webhooks/new");
  await page.getByLabel("Webhook Name").fill(name);
  await page.getByLabel("Webhook URL").fill(await api.inspectorUrl());
  await page.getByRole("button", { name: "Save", exact: true }).click();
  const events = page.getByRole("group", { name: "Events to Subscribe" });
  await expectFieldError(events, "Please select at least one event to subscribe to");
  await expect(page.getByLabel("Webhook Name")).toHaveValue(name);

  // The same refusal, kept by the page that is live, and lifted by it.
  open();
  await hydrated(page);
  await expectFieldError(events, "Please select at least one event to subscribe to");
  await page.getByRole("checkbox", { name: "Every event" }).check();
  await page.getByRole("button", { name: "Save & Test" }).click();
  await expect(page.getByRole("region", { name: "Delivery result" })).toContainText("✓ 200 OK");
  expect((await api.webhookNamed(name)).events).toEqual(["*"]);
});

test("the page says when it is live", async ({ signedIn: page, goto }) => {
  await goto("/");
  expect(await page.evaluate(() => performance.getEntriesByName("hydrated").length)).toBe(1);
});
