// The Webhook Debugger (requirements part 2, ADMIN-INT-012 to 014): a test and its result, the history, a failure and its
// replay.
import type { Page } from "@playwright/test";
import { ONE_RETRY } from "../support/api.ts";
import { gate } from "../support/receiver.ts";
import { expect, expectFieldError, row, test, unique } from "../support/test.ts";

const result = (page: Page) => page.getByRole("region", { name: "Delivery result" });
const history = (page: Page) => page.getByRole("table", { name: "Delivery history of the last 24 hours" });
const send = (page: Page) => page.getByRole("button", { name: "Send Test Webhook" });

test("ADMIN-INT-012: a test is delivered, and the result shows request and response", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const endpoint = receiver.endpoint({
    body: '{"status":"received","id":"zap_123"}',
    headers: { "content-type": "application/json", "x-zap": "yes" },
  });
  const webhook = await api.createWebhook({ name: unique("Zapier"), url: endpoint.url, events: ["job.created"] });
  await goto(`/webhooks/${webhook.id}`);
  await expect(page.getByLabel("Event", { exact: true })).toHaveValue("job.created");
  await send(page).click();
  await expect(result(page)).toContainText(/✓ 200 OK \(Delivered in \d+(\.\d+)?m?s\)/);

  const [request] = endpoint.received;
  if (!request) throw new Error("nothing arrived");
  await expect(result(page)).toContainText(`POST ${endpoint.url}`);
  for (const [name, value] of [
    ["Content-Type", "application/json"],
    ["X-InTime-Signature", String(request.headers["x-intime-signature"])],
    ["X-InTime-Event", "job.created"],
    ["webhook-id", request.json.id],
  ] as const) {
    const term = result(page).getByRole("term").getByText(name, { exact: true });
    await expect(term.first()).toBeVisible();
    await expect(result(page).getByRole("definition").getByText(value, { exact: true }).first()).toBeVisible();
  }
  await expect(result(page)).toContainText('"status": "received"');
  await expect(result(page)).toContainText("zap_123");
  await expect(result(page)).toContainText("x-zap");
  await expect(result(page).getByRole("table", { name: "Timing" })).toContainText("Connect");
  await result(page).getByText("Raw").first().click();
  await expect(result(page)).toContainText(request.body.toString());

  // The address shows a colleague the same.
  await page.reload();
  await expect(result(page)).toContainText("zap_123");
});

test("the payload can be changed, must be JSON, and follows the chosen event", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const webhook = await api.createWebhook({ name: unique("Payload"), url: endpoint.url, events: ["job.*"] });
  await goto(`/webhooks/${webhook.id}`);
  const payload = page.getByLabel("Sample Payload");
  const sample = await payload.inputValue();
  expect(JSON.parse(sample)).toBeInstanceOf(Object);
  await payload.fill('{"title": }');
  await expectFieldError(payload, "Not valid JSON: expected value at line 1 column 11");
  await send(page).click();
  await expect(payload).toBeFocused();
  await page.getByRole("button", { name: "Reset" }).click();
  await expect(payload).toHaveValue(sample);
  await expect(payload).not.toHaveAttribute("aria-invalid", "true");

  await page.getByLabel("Event", { exact: true }).selectOption("job.closed");
  await expect(payload).not.toHaveValue(sample);
  await payload.fill('{"title": "Ünïcode 🚀", "bill_rate": 85.50}');
  await send(page).click();
  await expect(result(page)).toContainText("✓ 200 OK");
  const sent = endpoint.received[0]?.json;
  expect(sent?.event).toBe("job.closed");
  expect(sent?.data).toEqual({ title: "Ünïcode 🚀", bill_rate: 85.5 });
});

test("while a test is on its way the button says so", async ({ signedIn: page, goto, api, receiver }) => {
  const { opened, open } = gate();
  const endpoint = receiver.endpoint({ until: opened });
  const webhook = await api.createWebhook({ name: unique("Slow"), url: endpoint.url, events: ["job.created"] });
  await goto(`/webhooks/${webhook.id}`);
  await send(page).click();
  await expect(page.getByRole("button", { name: "Sending…" })).toBeDisabled();
  open();
  await expect(result(page)).toContainText("✓ 200 OK");
  await expect(send(page)).toBeEnabled();
});

test("ADMIN-INT-013: the history shows every delivery with its status", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint({ status: 500, body: "out of order" }, { status: 200 });
  const webhook = await api.createWebhook({ name: unique("History"), url: endpoint.url, events: ["job.created"] });
  await api.test(webhook.id); // 500, and a test is not tried again
  await api.test(webhook.id);
  await goto(`/webhooks/${webhook.id}`);
  for (const column of ["Time", "Event", "Status", "Response", "Duration"]) {
    await expect(history(page).getByRole("columnheader", { name: column })).toBeVisible();
  }
  const rows = history(page).getByRole("row");
  await expect(rows).toHaveCount(3);
  await expect(rows.nth(1)).toContainText("Delivered");
  await expect(rows.nth(1)).toContainText("200 OK");
  await expect(rows.nth(2)).toContainText("500 Internal Server Error");
  await expect(rows.nth(2)).toContainText("Failed");

  // A third one appears by itself.
  await api.test(webhook.id);
  await expect(rows).toHaveCount(4);

  await page.getByRole("link", { name: "View Full History" }).click();
  await expect(page.getByRole("table", { name: "Deliveries of this webhook" }).getByRole("row")).toHaveCount(4);
});

test("ADMIN-INT-014: a failed delivery shows its tries; replay sends the same payload under the same id", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const endpoint = receiver.endpoint(
    { status: 500, body: "no" },
    { status: 503, body: "still no" },
    { status: 200, body: "now yes" },
  );
  const webhook = await api.createWebhook({
    name: unique("Failing"),
    url: endpoint.url,
    events: ["submission.placed"],
    retry_policy: ONE_RETRY,
  });
  await goto(`/webhooks/${webhook.id}?tab=deliveries`);
  const { id: event } = await api.publish("submission.placed", { id: "SUB-1", rate: 85.0 });
  const failed = (await api.deliveriesOf(webhook.id))[0];
  if (!failed) throw new Error("no delivery");

  // It comes in live, is tried twice, and ends as a dead letter before our eyes.
  await page.getByRole("button", { name: "1 new" }).click();
  const line = row(page, "submission.placed");
  await expect(line).toContainText("Dead letter");
  await expect(line).toContainText("503 Service Unavailable (retry 1)");

  await line.getByRole("link", { name: "submission.placed" }).click();
  await expect(page).toHaveURL(`/deliveries/${failed.id}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("submission.placed");
  const tries = page.getByRole("group");
  const first = tries.filter({ hasText: "#1" });
  const second = tries.filter({ hasText: "#2" });
  await expect(first).toContainText("500 Internal Server Error");
  await expect(second).toContainText("503 Service Unavailable");
  await expect(second.getByText("still no")).toBeVisible(); // the last one is open
  await expect(first.getByText("no", { exact: true })).toBeHidden();
  await first.getByText("#1").click();
  await expect(first.getByText("no", { exact: true })).toBeVisible();
  await expect(page.getByText("Last error")).toBeVisible();

  await page.getByRole("button", { name: "Replay" }).click();
  await expect(page).not.toHaveURL(`/deliveries/${failed.id}`);
  await expect(page.getByText("Delivered", { exact: true }).first()).toBeVisible();
  await expect(page.getByText("now yes")).toBeVisible();
  await expect(page.getByRole("link", { name: failed.id })).toBeVisible(); // Replay of …
  await expect(page.getByRole("status").filter({ hasText: "Replayed" })).toBeVisible();

  const [one, two, replayed] = endpoint.received;
  expect(endpoint.received).toHaveLength(3);
  for (const other of [two, replayed]) {
    expect(other?.body.equals(one?.body ?? Buffer.of())).toBe(true);
    expect(other?.headers["webhook-id"]).toBe(event);
  }
  expect(two?.headers["x-intime-delivery"]).toBe(failed.id);
  expect(replayed?.headers["x-intime-delivery"]).not.toBe(failed.id);
});

test("replay from a row says where the new delivery is", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const webhook = await api.createWebhook({ name: unique("Row replay"), url: endpoint.url, events: ["job.created"] });
  const { id } = await api.test(webhook.id);
  await goto(`/webhooks/${webhook.id}`);
  await page.getByRole("button", { name: `Replay delivery ${id}` }).click();
  await page.getByRole("link", { name: "View the new delivery" }).click();
  await expect(page.getByRole("link", { name: id })).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(2);
});

test("a receiver that refuses, cuts or redirects is shown in words", async ({ signedIn: page, goto, api, receiver }) => {
  const elsewhere = receiver.endpoint();
  const moved = receiver.endpoint({ status: 302, headers: { location: elsewhere.url } });
  for (const [url, words] of [
    ["http://127.0.0.1:9/nobody", "Connection refused"],
    [moved.url, "302 Found"],
  ] as const) {
    const { id } = await api.createWebhook({ name: unique("Broken"), url, events: ["job.created"] });
    await goto(`/webhooks/${id}`);
    await send(page).click();
    await expect(result(page)).toContainText(`✗ ${words} (Failed after`);
  }
  expect(elsewhere.received).toEqual([]);
});
