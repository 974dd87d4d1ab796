// `/dead-letters` and `/jobs` (part 2, "Dead Letter Queue"): what was given up is retried, cleared and brought back, one by one,
// as chosen, and all that match by a job.
import type { Page } from "@playwright/test";
import type { Api } from "../support/api.ts";
import type { Answer, Endpoint, Receiver } from "../support/receiver.ts";
import { disclosure, expect, row, test, unique } from "../support/test.ts";

interface DeadLetters {
  webhooks: { webhook_id: string; dead_letters: number }[];
}

interface Job {
  id: string;
  scope: { webhook_id?: string };
  done: number;
}

/** A webhook with as many dead letters: what is answered 400 is not tried again. The receiver is well afterwards. */
async function dead(api: Api, receiver: Receiver, number: number, event = "job.closed") {
  const refusals: Answer[] = Array.from({ length: number }, () => ({ status: 400, body: "no" }));
  const endpoint: Endpoint = receiver.endpoint(...refusals, { status: 200 });
  const name = unique("Frail");
  const { id } = await api.createWebhook({ name, url: endpoint.url, events: [event] });
  const events = Array.from({ length: number }, (_, n) => ({ event, data: { n } }));
  await api.call("POST", "/api/v1/events/batch", { events });
  await expect.poll(async () => (await api.deadLettersOf(id)).length).toBe(number);
  return { id, name, endpoint, letters: await api.deadLettersOf(id) };
}

const table = (page: Page) => page.getByRole("table", { name: "Dead letters" });
const rows = (page: Page) => table(page).getByRole("row");
const count = (page: Page) => page.getByRole("link", { name: "Dead letters", exact: true });

test("ADMIN-INT-015: rows tell what happened; retry, clear, and undo of a clear", async ({ signedIn: page, goto, api, receiver }) => {
  const { id, name, endpoint, letters } = await dead(api, receiver, 3);
  await goto(`/dead-letters?webhook_id=${id}`);
  await expect(rows(page)).toHaveCount(4);
  await expect(rows(page).nth(1)).toContainText(name);
  await expect(rows(page).nth(1)).toContainText("job.closed");
  await expect(rows(page).nth(1)).toContainText("400 Bad Request");
  await expect(rows(page).nth(1)).toContainText("(1 try)");
  await expect(rows(page).nth(1)).toContainText("in 6 d"); // seven days are kept
  await expect(page.getByRole("heading", { level: 2 })).toContainText("(3 of");

  await page.getByRole("button", { name: `Retry ${letters[0]}` }).click();
  await expect(page.getByRole("status").filter({ hasText: "1 dead letter queued again." })).toBeVisible();
  await expect(rows(page)).toHaveCount(3);
  await expect.poll(() => endpoint.received.length).toBe(4);

  await page.getByRole("button", { name: `Clear ${letters[1]}` }).click();
  await expect(rows(page)).toHaveCount(2);
  expect((await api.delivery(letters[1] ?? "")).status).toBe("discarded");
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(rows(page)).toHaveCount(3);
  expect((await api.delivery(letters[1] ?? "")).status).toBe("dead_letter");

  await page.getByRole("link", { name: `View ${letters[1]}` }).click();
  await expect(page).toHaveURL(`/deliveries/${letters[1]}`);
});

test("what is chosen is retried and cleared together; the menu counts along", async ({ signedIn: page, goto, api, receiver }) => {
  const { id, letters } = await dead(api, receiver, 4);
  await goto(`/dead-letters?webhook_id=${id}`);
  const total = Number(await page.locator("#dead-letter-count").textContent());
  expect(total).toBeGreaterThanOrEqual(4);
  await expect(count(page)).toHaveAccessibleDescription(String(total));
  await expect(page.getByRole("button", { name: "Clear Selected" })).toBeDisabled();
  await page.getByRole("checkbox", { name: `Select ${letters[0]}` }).check();
  await page.getByRole("checkbox", { name: `Select ${letters[1]}` }).check();
  await expect(page.getByText("2 selected")).toBeVisible();
  await page.getByRole("button", { name: "Clear Selected" }).click();
  await expect(rows(page)).toHaveCount(3);
  await expect(page.getByText("0 selected")).toBeVisible();
  await expect(count(page)).toHaveAccessibleDescription(String(total - 2));
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(rows(page)).toHaveCount(5);

  await page.getByRole("checkbox", { name: "Select all on this page" }).check();
  await expect(page.getByText("4 selected")).toBeVisible();
  await page.getByRole("button", { name: "Retry Selected" }).click();
  await expect(page.getByText("No dead letter fits the filters.")).toBeVisible();
});

test("filters are in the address; what is new waits, what is gone goes", async ({ signedIn: page, goto, api, receiver }) => {
  const { id, name, letters } = await dead(api, receiver, 2, "task.created");
  const filter = (label: string) => page.getByRole("form", { name: "Filters" }).getByRole("combobox", { name: label, exact: true });
  await goto("/dead-letters");
  await filter("Webhook").selectOption(name);
  await expect(page).toHaveURL(`/dead-letters?webhook_id=${id}`);
  await filter("Reason").selectOption({ value: "client" });
  await filter("Event").selectOption("task.created");
  await expect(page).toHaveURL(`/dead-letters?webhook_id=${id}&event=task.created&error=client`);
  await expect(rows(page)).toHaveCount(3);
  await filter("Reason").selectOption({ value: "dns" });
  await expect(page.getByText("No dead letter fits the filters.")).toBeVisible();
  await page.goBack();
  await expect(rows(page)).toHaveCount(3);

  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await api.call("DELETE", `/api/v1/dead-letters/${letters[0]}`); // somebody else
  await expect(rows(page)).toHaveCount(2);
  const again = receiver.endpoint({ status: 400 });
  const other = await api.createWebhook({ name: unique("Other"), url: again.url, events: ["task.completed"] });
  await goto("/dead-letters");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await api.publish("task.completed", {});
  await page.getByRole("button", { name: "1 new" }).click();
  await expect(row(table(page), other.name)).toHaveCount(1);
});

test("Retry All and Clear All say how many, and are jobs", async ({ signedIn: page, goto, api, receiver, faults }) => {
  faults.expect(/status of 422/);
  const { id, name, endpoint } = await dead(api, receiver, 55, "candidate.updated");
  await goto(`/dead-letters?webhook_id=${id}`);
  await expect(rows(page)).toHaveCount(51);
  await page.getByRole("checkbox", { name: "Select all on this page" }).check();
  await page.getByRole("button", { name: "Select all 55 that match" }).click();
  await expect(page.getByText("Everything that matches is selected")).toBeVisible();
  await page.getByRole("button", { name: "Clear Selected" }).click(); // which is too much to be done without asking
  await expect(page.getByText("Discard 55 dead letters?")).toBeVisible();
  await page.getByRole("button", { name: "Yes, clear them" }).click();
  await expect(page.getByRole("textbox", { name: "Confirmation" })).toHaveAttribute("aria-invalid", "true");
  expect(await api.deadLettersOf(id)).toHaveLength(55);
  await disclosure(page, "Clear All That Match").click();

  await disclosure(page, "Retry All That Match").click();
  await expect(page.getByText("Retry 55 dead letters?")).toBeVisible();
  await page.getByRole("button", { name: "Yes, retry them" }).click();
  await page.getByRole("link", { name: "Watch it" }).click();
  await expect(page).toHaveURL("/jobs");
  const job = row(page, name);
  await expect(job).toContainText("Retry dead letters");
  await expect(job).toContainText("Done");
  await expect(job).toContainText("55 of 55");
  await expect.poll(() => endpoint.received.length).toBe(110);
  await page.reload();
  await expect(job).toContainText("55 of 55");
});

test("a job is cancelled while it runs: what it did stays done, and nothing more is", async ({ signedIn: page, goto, api, receiver }) => {
  const [number, event] = [10_000, "task.completed"];
  const endpoint = receiver.endpoint({ status: 400 });
  const name = unique("Frail");
  const { id } = await api.createWebhook({ name, url: endpoint.url, events: [event], options: { disable_after: 0, max_in_flight: 64 } });
  const events = Array.from({ length: 1_000 }, () => ({ event, data: {} }));
  for (let sent = 0; sent < number; sent += events.length) await api.call("POST", "/api/v1/events/batch", { events });
  const letters = async () => {
    const { webhooks } = await api.call<DeadLetters>("GET", "/api/v1/dead-letters/summary");
    return webhooks.find(({ webhook_id }) => webhook_id === id)?.dead_letters ?? 0;
  };
  await expect.poll(letters, { timeout: 30_000 }).toBe(number);
  endpoint.answers({ status: 200 });

  await goto(`/dead-letters?webhook_id=${id}`);
  await disclosure(page, "Retry All That Match").click();
  await expect(page.getByText("Retry 10,000 dead letters?")).toBeVisible();
  // Alone it would be done before anybody can click. Jobs take turns, a batch of 500 each: between two of its turns, seven others
  // read 500 payloads each, to find nothing that their webhook wants. That takes ten times as long as clicking does.
  const filter = [{ path: "never", op: "eq", value: true }];
  const other = await api.createWebhook({ name: unique("Fussy"), url: endpoint.url, events: [event], filter });
  const missing = { mode: "missing", webhook_id: other.id, from: "2026-01-01T00:00:00Z" };
  const others = [];
  for (let started = 0; started < 7; started += 1) others.push(await api.call<Job>("POST", "/api/v1/replays", missing));
  await page.getByRole("button", { name: "Yes, retry them" }).click();
  await page.getByRole("link", { name: "Watch it" }).click();
  const job = row(page, name);
  await expect(job).toContainText(/Running.*[1-9]\d* of \d+/);
  await job.getByRole("button", { name: /^Cancel job_/ }).click();
  await expect(job).toContainText("Cancelled");
  await expect(job.getByRole("button")).toBeHidden();
  for (const { id } of others) await api.call("POST", `/api/v1/jobs/${id}/cancel`);

  const { data } = await api.call<{ data: Job[] }>("GET", "/api/v1/jobs");
  const done = data.find(({ scope }) => scope.webhook_id === id)?.done ?? 0;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(number);
  await expect.poll(() => endpoint.received.length).toBe(number + done);
  expect(await letters()).toBe(number - done);
  await page.reload();
  await expect(job).toContainText("Cancelled");
  await expect(job).toContainText(`${done} of ${done}`);
});

test("Clear All needs a typed word", async ({ signedIn: page, goto, api, receiver, faults }) => {
  faults.expect(/status of 422/);
  const { id } = await dead(api, receiver, 2, "candidate.created");
  await goto(`/dead-letters?webhook_id=${id}`);
  await disclosure(page, "Clear All That Match").click();
  await expect(page.getByText("Discard 2 dead letters?")).toBeVisible();
  await page.getByRole("button", { name: "Yes, clear them" }).click();
  await expect(page.getByRole("textbox", { name: "Confirmation" })).toHaveAttribute("aria-invalid", "true");
  await page.getByRole("textbox", { name: "Confirmation" }).fill("clear");
  await page.getByRole("button", { name: "Yes, clear them" }).click();
  await expect(page.getByText("No dead letter fits the filters.")).toBeVisible();
  expect(await api.deadLettersOf(id)).toEqual([]);
});

test("by the keyboard: go there, choose, clear, take it back, retry", async ({ signedIn: page, goto, api, receiver }) => {
  const { id } = await dead(api, receiver, 3, "user.created");
  await goto("/");
  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Dead Letter Queue");
  await goto(`/dead-letters?webhook_id=${id}`);
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await expect(page.getByText("2 selected")).toBeVisible();
  await page.getByRole("button", { name: "Clear Selected" }).focus();
  await page.keyboard.press("Enter");
  await expect(rows(page)).toHaveCount(2);
  await page.getByRole("button", { name: "Undo" }).focus();
  await page.keyboard.press("Enter");
  await expect(rows(page)).toHaveCount(4);
  await page.keyboard.press("j");
  await page.keyboard.press("r");
  await expect(rows(page)).toHaveCount(3);
});

test("Replay Failed of a webhook counts first and is a job", async ({ signedIn: page, goto, api, receiver }) => {
  const { id, name, endpoint } = await dead(api, receiver, 2, "interview.scheduled");
  await goto(`/webhooks/${id}?tab=deliveries`);
  await disclosure(page, "Replay Failed").click();
  await expect(page.getByText("Send 2 failed deliveries again?")).toBeVisible();
  await page.getByRole("button", { name: "Yes, replay them" }).click();
  await page.getByRole("link", { name: "Watch it" }).click();
  await expect(row(page, name)).toContainText("Replay failed");
  await expect(row(page, name)).toContainText("2 of 2");
  await expect.poll(() => endpoint.received.length).toBe(4);
});

test("a paused webhook refuses, and says why", async ({ signedIn: page, goto, api, receiver, faults }) => {
  faults.expect(/status of 409/);
  const { id, letters } = await dead(api, receiver, 1, "interview.completed");
  await api.setState(id, "paused");
  await goto(`/dead-letters?webhook_id=${id}`);
  await page.getByRole("button", { name: `Retry ${letters[0]}` }).click();
  await expect(page.getByRole("alert").filter({ hasText: "The webhook is paused; enable it first." })).toBeVisible();
  await expect(rows(page)).toHaveCount(2);
});

test("ten dead letters are worked off by keys alone: the focus goes on with the next row", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const { id, endpoint } = await dead(api, receiver, 10);
  await goto(`/dead-letters?webhook_id=${id}`);
  await expect(rows(page)).toHaveCount(11);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  for (let left = 9; left >= 0; left -= 1) {
    const focused = page.locator("[data-row]:focus");
    await expect(focused).toHaveCount(1);
    const address = await focused.getAttribute("href");
    await page.keyboard.press("r");
    if (left === 0) break;
    await expect(rows(page)).toHaveCount(left + 1);
    await expect(focused).toHaveCount(1);
    expect(await focused.getAttribute("href")).not.toBe(address);
  }
  await expect(page.getByText("No dead letter fits the filters.")).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(20);
});
