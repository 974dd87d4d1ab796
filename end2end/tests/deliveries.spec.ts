// `/deliveries`: filters that live in the address, rows that change in place, new rows that wait to be asked for.
import { ONE_RETRY } from "../support/api.ts";
import { gate } from "../support/receiver.ts";
import { expect, row, test, unique } from "../support/test.ts";

test("filters are in the address, survive a reload, and go back", async ({ signedIn: page, goto, api }) => {
  const filter = (name: string) => page.getByRole("form", { name: "Filters" }).getByRole("combobox", { name, exact: true });
  const name = unique("Filtered");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["*"] });
  await api.test(id, "job.created");
  await api.test(id, "job.closed");
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  await goto("/deliveries");

  await filter("Webhook").selectOption(name);
  await expect(page).toHaveURL(`/deliveries?webhook_id=${id}`);
  await expect(rows).toHaveCount(3);
  await filter("Event").selectOption("job.closed");
  await expect(page).toHaveURL(`/deliveries?webhook_id=${id}&event=job.closed`);
  await expect(rows).toHaveCount(2);
  await filter("Status").selectOption("Delivered");
  await filter("Time").selectOption("Last hour");
  await expect(page).toHaveURL(`/deliveries?status=delivered&webhook_id=${id}&event=job.closed&range=1h`);
  await expect(rows).toHaveCount(2);

  await page.reload();
  await expect(filter("Webhook")).toHaveValue(id);
  await expect(filter("Event")).toHaveValue("job.closed");
  await expect(filter("Status")).toHaveValue("delivered");
  await expect(filter("Time")).toHaveValue("1h");
  await expect(rows).toHaveCount(2);

  const chips = page.getByRole("list", { name: "Active filters" });
  await expect(chips.getByRole("listitem")).toHaveCount(4);
  await chips.getByRole("link", { name: "Remove filter event: job.closed" }).click();
  await expect(page).toHaveURL(`/deliveries?status=delivered&webhook_id=${id}&range=1h`);
  await expect(rows).toHaveCount(3);
  await expect(filter("Event")).toHaveValue("");
  await page.goBack();
  await expect(filter("Event")).toHaveValue("job.closed");
  await expect(rows).toHaveCount(2);

  await filter("Status").selectOption("Dead letter");
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(page).toHaveURL("/deliveries");
  await expect(chips).toBeHidden();
});

test("a time range in the address holds on both ends", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({ name: unique("Dated"), url: await api.inspectorUrl(), events: ["*"] });
  await api.test(id);
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  await goto(`/deliveries?webhook_id=${id}&from=2026-01-01T00:00&to=2026-01-02T00:00`);
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
  await expect(page.getByLabel("From (UTC)")).toHaveValue("2026-01-01T00:00");
  await page.getByRole("link", { name: /^Remove filter to:/ }).click();
  await expect(rows).toHaveCount(2);
  await page.getByLabel("From (UTC)").fill("2100-01-01T00:00");
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
});

test("failures are grouped by webhook and reason, and lead to their deliveries", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const endpoint = receiver.endpoint({ status: 404 });
  const refusing = unique("Refusing");
  const { id } = await api.createWebhook({ name: refusing, url: endpoint.url, events: ["user.created"] });
  const { id: silent } = await api.createWebhook({
    name: unique("Silent"),
    url: "http://127.0.0.1:9/nobody",
    events: ["user.created"],
  });
  await api.test(id);
  await api.test(id);
  await api.test(silent);
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  const groups = page.getByRole("table", { name: "Failures by webhook and reason" });
  await goto("/deliveries?range=1h");
  await page.getByRole("link", { name: "Failures by cause" }).click();
  await expect(page).toHaveURL("/deliveries?range=1h&view=failures");
  await expect(row(groups, refusing)).toContainText("Client error");
  await expect(row(groups, refusing).getByRole("cell").nth(2)).toHaveText("2");
  await row(groups, refusing).getByRole("link", { name: refusing }).click();
  await expect(page).toHaveURL(`/deliveries?range=1h&webhook_id=${id}&error=client`);
  await expect(rows).toHaveCount(3);

  await goto(`/deliveries?webhook_id=${id}`);
  const form = page.getByRole("form", { name: "Filters" });
  await form.getByLabel("Code").selectOption("5xx");
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
  await form.getByLabel("Code").selectOption("4xx");
  await expect(rows).toHaveCount(3);
  await goto(`/deliveries?webhook_id=${silent}&code=none`);
  await expect(rows).toHaveCount(2);
  await page.getByRole("link", { name: "Remove filter code: No answer" }).click();
  await form.getByLabel("Error").selectOption("Timed out");
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
});

test("a filter that makes no sense is ignored, and the page says so", async ({ signedIn: page, goto }) => {
  await goto("/deliveries?status=great&range=1h&from=soon&cursor=x&code=2xx");
  await expect(page.getByText("Ignored, because it makes no sense here")).toContainText(
    "status \u201cgreat\u201d, from \u201csoon\u201d, page \u201cx\u201d",
  );
  await expect(page.getByRole("list", { name: "Active filters" }).getByRole("listitem")).toHaveText(["code: 2xx", "time: Last hour"]);
  await page.getByRole("link", { name: "Remove filter time: Last hour" }).click();
  await expect(page).toHaveURL("/deliveries?code=2xx");
  await expect(page.getByText("Ignored")).toBeHidden();
});

test("a delivery is found by its id or its event's, and what is listed is exported", async ({ signedIn: page, goto, api }) => {
  const name = unique("-Exported, all of it");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["job.created"] });
  const { id: delivery, event_id: event } = await api.test(id);
  await api.test(id);
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  await goto("/deliveries");
  const field = page.getByRole("searchbox", { name: "Id" });
  for (const wanted of [delivery, event]) {
    await field.fill(wanted);
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(`/deliveries?id=${wanted}`);
    await expect(rows).toHaveCount(2);
  }
  const exported = async (format: string) => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: `Export ${format}`, exact: true }).click(),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    return { name: download.suggestedFilename(), text: Buffer.concat(chunks).toString("utf8") };
  };
  const one = await exported("NDJSON");
  expect(one.name).toMatch(/^deliveries-\d{4}-\d\d-\d\d\.ndjson$/);
  expect(one.text.trimEnd().split("\n").map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([delivery]);
  await goto(`/deliveries?webhook_id=${id}&range=1h&view=failures`);
  const all = await exported("CSV");
  expect(all.name).toMatch(/\.csv$/);
  expect(all.text.split("\r\n")).toHaveLength(4);
  expect(all.text).toContain(`,"'${name}",delivered,test,1,200,`);
});

test("new rows wait behind a button, rows that are shown change in place", async ({ signedIn: page, goto, api, receiver }) => {
  const { opened, open } = gate();
  const endpoint = receiver.endpoint({ status: 500 }, { until: opened }, { status: 200 });
  const { id } = await api.createWebhook({
    name: unique("Live"),
    url: endpoint.url,
    events: ["user.deactivated"],
    retry_policy: ONE_RETRY,
  });
  await goto(`/deliveries?webhook_id=${id}`);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  const pill = page.getByRole("button", { name: /^\d+ new$/ });
  await api.publish("user.deactivated", {});
  await expect(pill).toHaveText("1 new");
  await expect(rows).toHaveCount(0);
  await pill.click();
  await expect(pill).toBeHidden();
  await expect(rows).toHaveCount(2);
  await expect(rows.nth(1)).toContainText("500 Internal Server Error");

  // The second try succeeds: the row says so where it stands, and nothing else moves.
  open();
  await expect(rows.nth(1)).toContainText("Delivered");
  await expect(rows.nth(1)).toContainText("200 OK (retry 1)");
  await expect(rows).toHaveCount(2);
  await expect(pill).toBeHidden();

  await api.publish("user.deactivated", {});
  await api.publish("user.deactivated", {});
  await expect(pill).toHaveText("2 new");
  await expect(rows).toHaveCount(2);
  await pill.click();
  await expect(rows).toHaveCount(4);
});

test("a row that was shown while the list was paused is there once when it goes on", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const { opened, open } = gate();
  const endpoint = receiver.endpoint({ status: 500 }, { until: opened });
  const { id } = await api.createWebhook({
    name: unique("Paused"),
    url: endpoint.url,
    events: ["user.created"],
    retry_policy: ONE_RETRY,
  });
  await api.publish("user.created", {});
  await expect.poll(() => endpoint.received.length).toBeGreaterThan(0);
  await goto(`/deliveries?webhook_id=${id}`);
  const line = row(page, "user.created");
  await expect(line).toHaveCount(1);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  open();
  const [delivery] = await api.deliveriesOf(id);
  if (!delivery) throw new Error("no delivery");
  await expect.poll(async () => (await api.delivery(delivery.id)).status).toBe("delivered");
  await expect(line).not.toContainText("Delivered");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(line).toContainText("Delivered");
  await expect(line).toHaveCount(1);
  await expect(page.getByRole("button", { name: /^\d+ new$/ })).toBeHidden();
});

test("older pages are found by cursor and do not move", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({
    name: unique("Paged"),
    url: await api.inspectorUrl(),
    events: ["interview.completed"],
  });
  const events = Array.from({ length: 55 }, (_, number) => ({ event: "interview.completed", data: { number } }));
  await api.call("POST", "/api/v1/events/batch", { events });
  await expect.poll(async () => (await api.deliveriesOf(id)).filter(({ status }) => status === "delivered").length).toBe(55);
  await goto(`/deliveries?webhook_id=${id}`);
  const rows = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  await expect(rows).toHaveCount(51);
  await page.getByRole("link", { name: "Older" }).click();
  await expect(rows).toHaveCount(6);
  await api.publish("interview.completed", {});
  await expect.poll(async () => (await api.deliveriesOf(id)).length).toBe(56);
  await expect(page.getByRole("button", { name: /new$/ })).toHaveCount(0);
  await page.reload();
  await expect(rows).toHaveCount(6);
  await page.getByRole("link", { name: "Newest" }).click();
  await expect(page).toHaveURL(`/deliveries?webhook_id=${id}`);
  await expect(rows).toHaveCount(51);
});

test("a live connection that is lost comes back, with what was missed", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({
    name: unique("Offline"),
    url: await api.inspectorUrl(),
    events: ["task.created"],
  });
  // Every stream ends as soon as it was opened; the browser tries again after three seconds.
  await page.route("**/_ui/live*", (route) => route.fulfill({ contentType: "text/event-stream", body: ": end\n\n" }));
  await goto(`/deliveries?webhook_id=${id}`);
  await expect(page.getByText("Connection lost, trying again…")).toBeVisible();
  await api.publish("task.created", {});
  await expect.poll(async () => (await api.deliveriesOf(id)).length).toBe(1);
  await page.unroute("**/_ui/live*");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "1 new" }).click();
  await expect(row(page, "task.created")).toBeVisible();
});

test("a text finds the deliveries whose payload holds it", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({ name: unique("Searched"), url: await api.inspectorUrl(), events: ["job.created"] });
  const marker = unique("Ångström 100%");
  await api.publish("job.created", { note: marker });
  await api.publish("job.created", { note: "something else" });
  await expect.poll(async () => (await api.deliveriesOf(id)).length).toBe(2);
  for (const list of ["Deliveries", "Events"]) {
    await goto(list === "Events" ? "/events" : `/deliveries?webhook_id=${id}`);
    const rows = page.getByRole("table", { name: list }).getByRole("row");
    await page.getByLabel("Payload").fill(marker);
    await page.getByLabel("Payload").press("Enter");
    await expect(rows).toHaveCount(2);
    await expect(page.getByRole("link", { name: `Remove filter payload: ${marker}` })).toBeVisible();
    await page.reload();
    await expect(rows).toHaveCount(2);
  }
  await goto(`/deliveries?webhook_id=${id}&text=nowhere+in+it`);
  await expect(page.getByText("No delivery fits the filters.")).toBeVisible();
});

test("filters are kept under a name, and found again in the palette", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/422.*views\/save/);
  const views = page.getByRole("group", { name: "Saved views" });
  const name = unique("Failures");
  await goto("/deliveries");
  await expect(views.getByText("Save view")).toBeHidden();
  await page.getByRole("form", { name: "Filters" }).getByLabel("Status").selectOption("Failed");
  await views.getByText("Save view").click();
  await views.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByText("Name is required")).toBeVisible();
  await views.getByLabel("Name").fill(name);
  await views.getByLabel("Name").press("Enter");
  const view = views.getByRole("link", { name, exact: true });
  await expect(view).toHaveAttribute("aria-current", "page");
  await expect(views.getByLabel("Name")).toBeHidden();

  await goto("/deliveries");
  await expect(view).not.toHaveAttribute("aria-current");
  await view.click();
  await expect(page).toHaveURL("/deliveries?status=failed");
  await expect(view).toHaveAttribute("aria-current", "page");
  await goto("/events");
  await expect(views.getByRole("link")).toHaveCount(0);
  await page.keyboard.press("Control+k");
  const palette = page.getByRole("dialog", { name: "Command palette" });
  await palette.getByRole("combobox").fill(name);
  await expect(palette.getByRole("option")).toHaveText(`${name}View of deliveries`);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL("/deliveries?status=failed");

  await views.getByRole("button", { name: `Remove view ${name}` }).click();
  await expect(view).toHaveCount(0);
});
