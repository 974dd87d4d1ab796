// `/events` and one event: what was published, and where it went.
import { expect, hydrated, row, test, unique } from "../support/test.ts";

test("published events are listed, found by type, and open to body and deliveries", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const endpoint = receiver.endpoint();
  const name = unique("Listens");
  await api.createWebhook({ name, url: endpoint.url, events: ["interview.scheduled"] });
  const { id } = await api.publish("interview.scheduled", { candidate: "Ada Lovelace", round: 2 });
  await goto("/events");
  await expect(row(page, id)).toContainText("interview.scheduled");
  await page.getByRole("form", { name: "Filters" }).getByLabel("Event").selectOption("interview.scheduled");
  await expect(page).toHaveURL("/events?event=interview.scheduled");
  const rows = page.getByRole("table", { name: "Events" }).getByRole("row");
  await expect(rows.filter({ hasText: "job." })).toHaveCount(0);

  await row(page, id).getByRole("link", { name: "interview.scheduled" }).click();
  await expect(page).toHaveURL(`/events/${id}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("interview.scheduled");
  await expect(page.getByText('"candidate": "Ada Lovelace"')).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(1);
  await page.getByText("Raw").click();
  await expect(page.getByText(String(endpoint.received[0]?.body))).toBeVisible();
  const deliveries = page.getByRole("table", { name: "Deliveries of this event" });
  await expect(row(deliveries, name)).toContainText("Delivered");
  await row(deliveries, name).getByRole("link", { name: "interview.scheduled" }).click();
  await expect(page).toHaveURL(/\/deliveries\/dlv_/);
  await page.getByRole("link", { name: id }).click();
  await expect(page).toHaveURL(`/events/${id}`);
});

test("an event's page shows the outcome as it comes in", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint({ status: 500, body: "not yet" });
  await api.createWebhook({ name: unique("Watched"), url: endpoint.url, events: ["task.updated"] });
  const { id } = await api.publish("task.updated", {});
  await goto(`/events/${id}`);
  await expect(row(page, "task.updated")).toContainText("500 Internal Server Error");
});

test("an event is found by its id, its source and its time", async ({ signedIn: page, goto, api }) => {
  const source = await api.call<{ id: string }>("POST", "/api/v1/sources", { name: unique("Billing") });
  const { id } = await api.call<{ id: string }>("POST", "/api/v1/events", {
    event: "job.updated",
    data: {},
    source_id: source.id,
  });
  const rows = page.getByRole("table", { name: "Events" }).getByRole("row");
  const form = page.getByRole("form", { name: "Filters" });
  await goto(`/events?source_id=${source.id}`);
  await expect(rows).toHaveCount(2);
  await form.getByLabel("Time").selectOption("Last 15 minutes");
  await expect(page).toHaveURL(`/events?source_id=${source.id}&range=15m`);
  await expect(rows).toHaveCount(2);
  // A moment puts the range out.
  await form.getByLabel("To (UTC)").fill("2026-01-01T00:00");
  await expect(page).toHaveURL(`/events?source_id=${source.id}&to=2026-01-01T00%3A00%3A00.000Z`);
  await expect(page.getByText("No event fits the filters.")).toBeVisible();
  await goto("/events");
  await form.getByLabel("Id").fill(id);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`/events?id=${id}`);
  await expect(rows).toHaveCount(2);
  await expect(row(page, id)).toBeVisible();
});

test("a type that was never published says so", async ({ signedIn: page, goto }) => {
  await goto("/events?event=no.such");
  await expect(page.getByText("No event fits the filters.")).toBeVisible();
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(page).toHaveURL("/events");
});

test("refresh shows what came since", async ({ signedIn: page, goto, api }) => {
  await goto("/events");
  const { id } = await api.publish("approval.cancelled", {});
  await page.getByRole("button", { name: "Refresh" }).click();
  await expect(row(page, id)).toBeVisible();
  await page.reload();
  await hydrated(page);
  await expect(row(page, id)).toBeVisible();
});
