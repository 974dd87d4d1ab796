// The first screen: how the last day went, and what needs attention.
import type { Page } from "@playwright/test";
import { Api, ONE_RETRY } from "../support/api.ts";
import { OWNER, Server } from "../support/binary.ts";
import { disclosure, expect, hydrated, row, signIn, test, unique } from "../support/test.ts";

const attention = (page: Page) => page.getByRole("region", { name: "Needs attention" });
const item = (page: Page, name: string) => attention(page).getByRole("listitem").filter({ hasText: name });
const card = (page: Page, title: string) => page.getByRole("link", { name: title });

test("figures, charts and their table, which leads to the deliveries of an hour", async ({ page, faults, receiver }) => {
  const server = await Server.ready(); // its figures are this test's alone
  faults.allow(server.url);
  const api = new Api(server.url, OWNER.apiKey);
  const endpoint = receiver.endpoint({}, {}, {}, { status: 500 });
  const { id, secret } = await api.createWebhook({ name: "Counted", url: endpoint.url, events: ["job.created"] });
  endpoint.secrets.add(secret);
  await page.goto(`${server.url}/login`);
  await signIn(page, OWNER.email, OWNER.password);
  await hydrated(page);
  await expect(card(page, "Delivered (24 h)")).toContainText("0");
  await expect(page.getByRole("img", { name: /^Tries per hour/ })).toHaveCount(0);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();

  for (let sent = 0; sent < 4; sent += 1) await api.test(id);
  // It changes while we look.
  await expect(card(page, "Delivered (24 h)")).toContainText("3");
  await expect(card(page, "Delivered (24 h)")).toContainText("none the 24 h before");
  await expect(card(page, "Failed tries (24 h)")).toContainText("1");
  await expect(card(page, "Success rate (24 h)")).toContainText("75%");
  await expect(card(page, "Duration p50 (24 h)")).toContainText(/\d+ ms/);
  await expect(
    page.getByRole("img", { name: "Tries per hour of the last 24 hours: 3 delivered, 1 failed, at most 4 in an hour" }),
  ).toBeVisible();
  await expect(page.getByRole("img", { name: /^Duration of tries, hour by hour/ })).toBeVisible();
  await expect(page.getByText("Nothing needs attention")).toBeVisible();

  await disclosure(page, "Figures hour by hour").click();
  const hours = page.getByRole("table", { name: "Tries of the last 24 hours" });
  await expect(hours.getByRole("row")).toHaveCount(2);
  await hours.getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Deliveries");
  await expect(page.getByRole("table", { name: "Deliveries" }).getByRole("row")).toHaveCount(5);

  await page.goto(`${server.url}/webhooks`);
  await expect(row(page, "Counted")).toContainText("75%");
  await expect(page.getByRole("img", { name: "Last 30 days: tries on 1 day, failures on 1 day" })).toBeVisible();
  await page.close();
  await server.stop();
});

test("what needs attention leads there, and is mended with one click", async ({ signedIn: page, goto, api, receiver }) => {
  const name = unique("In trouble");
  const endpoint = receiver.endpoint({ status: 500 });
  const { id } = await api.createWebhook({
    name,
    url: endpoint.url,
    events: ["approval.cancelled"],
    retry_policy: ONE_RETRY,
    options: { disable_after: 2 },
  });
  await api.publish("approval.cancelled", { id: "APR-1" });
  await expect.poll(async () => (await api.webhook(id)).state).toBe("disabled");
  await goto("/");
  await expect(item(page, name)).toContainText("Disabled by itself: 2 tries in a row failed.");
  await expect(item(page, name)).toContainText("1 dead letter");
  await item(page, name).getByRole("button", { name: `Enable ${name}` }).click();
  await expect(item(page, name)).not.toContainText("Disabled by itself");
  expect((await api.webhook(id)).state).toBe("active");
  await item(page, name).getByRole("link", { name: `Dead letters of ${name}` }).click();
  await expect(page).toHaveURL(`/dead-letters?webhook_id=${id}`);
  await expect(row(page, name)).toHaveCount(1);
});
