// Webhooks from the first to the last: the list, the form with all its refusals, switching, deleting (UC §6 and §17).
import type { Page } from "@playwright/test";
import { disclosure, expect, expectFieldError, row, test, unique } from "../support/test.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const nameField = (page: Page) => page.getByLabel("Webhook Name");
const urlField = (page: Page) => page.getByLabel("Webhook URL");
const events = (page: Page) => page.getByRole("group", { name: "Events to Subscribe" });
const eventBox = (page: Page, event: string) => page.getByRole("checkbox", { name: event, exact: true });
const save = (page: Page) => page.getByRole("button", { name: "Save", exact: true });

test("ADMIN-INT-011: create a webhook, and it has a secret", async ({ signedIn: page, goto, api, receiver }) => {
  const { url } = receiver.endpoint();
  const name = unique("Job Created - Zapier");
  await goto("/webhooks");
  await page.getByRole("link", { name: "New Webhook" }).first().click();
  await expect(heading(page)).toHaveText("Configure Webhook");
  await nameField(page).fill(name);
  await urlField(page).fill(url);
  await eventBox(page, "job.created").check();
  await eventBox(page, "job.updated").check();
  await expect(eventBox(page, "Active")).toBeChecked();
  await save(page).click();
  await expect(heading(page)).toHaveText(name);

  const webhook = await api.webhookNamed(name);
  expect(webhook).toMatchObject({ url, events: ["job.created", "job.updated"], state: "active" });
  const { secret } = await api.secret(webhook.id);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32,}=*$/);
  await page.getByRole("link", { name: "Secret", exact: true }).click();
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.getByRole("textbox", { name: "Secret key" })).toHaveValue(secret);

  await page.getByRole("link", { name: "Webhooks", exact: true }).first().click();
  await expect(row(page, name)).toContainText("Active");
  await expect(row(page, name)).toContainText("job.updated");
  await expect(row(page, name)).toContainText("never triggered");
});

test("Save & Test stores the webhook and shows what became of a test", async ({ signedIn: page, goto, receiver }) => {
  const endpoint = receiver.endpoint();
  await goto("/webhooks/new");
  await nameField(page).fill(unique("Saved and tested"));
  await urlField(page).fill(endpoint.url);
  await eventBox(page, "candidate.created").check();
  await page.getByRole("button", { name: "Save & Test" }).click();
  await expect(page.getByRole("region", { name: "Delivery result" })).toContainText("✓ 200 OK");
  expect(endpoint.received.map(({ json }) => json.event)).toEqual(["candidate.created"]);
});

test("an empty form names every field that is missing and goes to the first", async ({ signedIn: page, goto }) => {
  await goto("/webhooks/new");
  await save(page).click();
  await expectFieldError(nameField(page), "Webhook name is required");
  await expectFieldError(urlField(page), "Webhook URL is required");
  await expectFieldError(events(page), "Please select at least one event to subscribe to");
  await expect(nameField(page)).toBeFocused();

  await nameField(page).fill(unique("Second try"));
  await save(page).click();
  await expect(nameField(page)).not.toHaveAttribute("aria-invalid", "true");
  await expect(urlField(page)).toBeFocused();

  await urlField(page).fill("https://93.184.215.14/hooks");
  await save(page).click();
  await expect(events(page)).toBeFocused();
});

const REFUSED_IN_THE_BROWSER: [field: "name" | "url", typed: string, message: string][] = [
  ["name", "   ", "Webhook name is required"],
  ["name", "n".repeat(101), "Webhook name must be at most 100 characters"],
  ["url", "hooks.zapier.com", "Please enter a valid HTTPS URL"],
  ["url", "ftp://93.184.215.14/hooks", "Please enter a valid HTTPS URL"],
  ["url", "https://", "Please enter a valid HTTPS URL"],
  ["url", `https://93.184.215.14/${"x".repeat(2048)}`, "Webhook URL must be at most 2048 characters"],
  ["url", "https://ada:secret@93.184.215.14/", "Webhook URL must not contain a user name or password; use a custom header"],
];

test("what is wrong by itself is told without asking the server", async ({ signedIn: page, goto }) => {
  await goto("/webhooks/new");
  const calls: string[] = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/webhooks/save")) calls.push(request.url());
  });
  for (const [field, typed, message] of REFUSED_IN_THE_BROWSER) {
    await nameField(page).fill(field === "name" ? typed : "Some name");
    await urlField(page).fill(field === "url" ? typed : "https://93.184.215.14/hooks");
    await eventBox(page, "job.created").check();
    await save(page).click();
    const refused = field === "name" ? nameField(page) : urlField(page);
    await expectFieldError(refused, message);
    await expect(refused).toBeFocused();
  }
  expect(calls).toEqual([]);
});

const REFUSED_BY_THE_SERVER: [url: string, message: string][] = [
  ["http://93.184.215.14/hooks", "Webhook URLs must use HTTPS for security"],
  ["https://10.0.0.1/hooks", "This URL leads to a private or reserved network address, which is not allowed"],
  ["https://169.254.169.254/latest/meta-data", "This URL leads to a private or reserved network address, which is not allowed"],
  ["https://[fe80::1]/hooks", "This URL leads to a private or reserved network address, which is not allowed"],
  ["https://[::ffff:192.168.0.1]/hooks", "This URL leads to a private or reserved network address, which is not allowed"],
];

test("where a URL must not lead is told at the field", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 422/);
  const name = unique("Refused");
  await goto("/webhooks/new");
  for (const [url, message] of REFUSED_BY_THE_SERVER) {
    await nameField(page).fill(name);
    await urlField(page).fill(url);
    await eventBox(page, "job.created").check();
    await save(page).click();
    await expectFieldError(urlField(page), message);
    await expect(urlField(page)).toBeFocused();
    await expect(nameField(page)).toHaveValue(name);
  }
});

test("a name is taken once", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/status of 422/);
  const name = unique("Taken");
  const url = await api.inspectorUrl();
  await api.createWebhook({ name, url, events: ["*"] });
  await goto("/webhooks/new");
  await nameField(page).fill(name);
  await urlField(page).fill(url);
  await eventBox(page, "Every event").check();
  await save(page).click();
  await expectFieldError(nameField(page), "A webhook with this name already exists");
  await expect(nameField(page)).toBeFocused();
});

test("filter and custom headers are checked at their fields", async ({ signedIn: page, goto }) => {
  await goto("/webhooks/new");
  await nameField(page).fill("Some name");
  await urlField(page).fill("https://93.184.215.14/hooks");
  await eventBox(page, "job.created").check();
  await disclosure(page, "Scope, payload filter and custom headers").click();
  await page.getByLabel("Payload filter").fill("{");
  await save(page).click();
  await expect(page.getByLabel("Payload filter")).toHaveAccessibleDescription(/Not a list of conditions such as the example/);
  await expect(page.getByLabel("Payload filter")).toBeFocused();

  await page.getByLabel("Payload filter").fill("");
  await page.getByLabel("Header name").fill("Webhook-Id");
  await page.getByLabel("Header value").fill("mine");
  await save(page).click();
  await expectFieldError(
    page.getByRole("group", { name: "Custom headers" }),
    "Header Webhook-Id is set by the sender and cannot be changed",
  );
});

test("the choice of events: wildcards, whole categories, everything", async ({ signedIn: page, goto, api }) => {
  const name = unique("Many events");
  await goto("/webhooks/new");
  await nameField(page).fill(name);
  await urlField(page).fill(await api.inspectorUrl());
  const jobs = page.getByRole("group", { name: "JOBS" });
  await jobs.getByRole("button", { name: "Select all" }).click();
  for (const event of ["job.created", "job.updated", "job.closed"]) await expect(eventBox(page, event)).toBeChecked();
  await expect(eventBox(page, "job.*")).not.toBeChecked();
  await eventBox(page, "candidate.*").check();
  await eventBox(page, "candidate.created").check();
  await save(page).click();
  await expect(heading(page)).toHaveText(name);
  expect((await api.webhookNamed(name)).events.toSorted()).toEqual(["candidate.*", "job.closed", "job.created", "job.updated"]);
});

test("change a webhook: everything is kept, header values are never shown", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const name = unique("To be changed");
  const webhook = await api.createWebhook({
    name,
    url: endpoint.url,
    events: ["job.created"],
    description: "Ask Ada",
    headers: [{ name: "Authorization", value: "Bearer of-the-receiver" }],
    retry_policy: { strategy: "fixed", max_retries: 7 },
  });
  await goto("/webhooks");
  await page.getByRole("link", { name: `Edit ${name}` }).click();
  await expect(page).toHaveURL(`/webhooks/${webhook.id}?tab=settings`);
  await expect(nameField(page)).toHaveValue(name);
  await expect(page.getByLabel("Description")).toHaveValue("Ask Ada");
  await expect(page.getByLabel("Header name").first()).toHaveValue("Authorization");
  await expect(page.getByLabel("Header value").first()).toHaveValue("");

  await nameField(page).fill(`${name}, changed`);
  await eventBox(page, "job.closed").check();
  await save(page).click();
  await expect(heading(page)).toHaveText(`${name}, changed`);
  expect(await api.webhook(webhook.id)).toMatchObject({
    name: `${name}, changed`,
    url: endpoint.url,
    events: ["job.created", "job.closed"],
    description: "Ask Ada",
    version: 2,
    retry_policy: { max_retries: 7 },
  });
  await api.test(webhook.id);
  expect(endpoint.received[0]?.headers.authorization).toBe("Bearer of-the-receiver");
});

test("who is slower does not overwrite who was faster", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/status of 409/);
  const draft = { name: unique("Contended"), url: await api.inspectorUrl(), events: ["job.created"] };
  const { id } = await api.createWebhook(draft);
  await goto(`/webhooks/${id}?tab=settings`);
  await api.call("PUT", `/api/v1/webhooks/${id}`, { ...draft, description: "faster" });
  await page.getByLabel("Description").fill("slower");
  await save(page).click();
  await expect(page.getByRole("alert").filter({ hasText: "changed by somebody else meanwhile" })).toBeVisible();
  await expect(page.getByLabel("Description")).toHaveValue("slower");
  expect((await api.webhook(id)).description).toBe("faster");
});

test("disable and enable, from the list and from the page", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const name = unique("Switched");
  const { id } = await api.createWebhook({ name, url: endpoint.url, events: ["task.swapped"] });
  await goto("/webhooks");
  await page.getByRole("button", { name: `Disable ${name}` }).click();
  await expect(row(page, name)).toContainText("Disabled");
  await api.publish("task.swapped", { while: "disabled" });
  await expect(page.getByRole("status").filter({ hasText: "Saved" })).toBeVisible();
  await page.getByRole("button", { name: `Enable ${name}` }).click();
  await expect(row(page, name)).toContainText("Active");

  await page.getByRole("link", { name, exact: true }).click();
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("Disabled", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(page.getByText("Active", { exact: true })).toBeVisible();
  await api.publish("task.swapped", { while: "active" });
  await expect.poll(() => endpoint.received.length).toBe(1);
  expect(endpoint.received[0]?.json.data).toEqual({ while: "active" });
  expect((await api.webhook(id)).state).toBe("active");
});

test("a test of a disabled webhook says what to do", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/status of 409/);
  const url = await api.inspectorUrl();
  const { id } = await api.createWebhook({ name: unique("Off"), url, events: ["*"], state: "disabled" });
  await goto(`/webhooks/${id}`);
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "The webhook is disabled; enable it to send a test." })).toBeVisible();
});

test("delete asks, and then it is gone", async ({ signedIn: page, goto, api }) => {
  const name = unique("To be deleted");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["job.created"] });
  await goto(`/webhooks/${id}?tab=settings`);
  const confirm = page.getByRole("button", { name: "Yes, delete it" });
  await expect(confirm).toBeHidden();
  await disclosure(page, "Delete webhook").click();
  await confirm.click();
  await expect(page).toHaveURL("/webhooks");
  await expect(heading(page)).toHaveText("Webhooks");
  await expect(row(page, name)).toHaveCount(0);
  await api.call("GET", `/api/v1/webhooks/${id}`, undefined, 404);
});

test("the search is in the address and finds by name, URL and event", async ({ signedIn: page, goto, api }) => {
  const name = unique("Needle");
  const url = await api.inspectorUrl();
  // Other tests of this worker have webhooks too, but none for this event.
  await api.call("POST", "/api/v1/event-types", { name: "needle.found", category: "NEEDLES" }, 201);
  await api.createWebhook({ name, url: `${url}/haystack-7`, events: ["needle.found"] });
  await api.createWebhook({ name: unique("Straw"), url, events: ["job.created"] });
  await goto("/webhooks");
  const search = page.getByRole("searchbox", { name: "Search webhooks" });
  for (const words of [name.toUpperCase(), "haystack-7", "needle.found"]) {
    await search.fill(words);
    await expect(page.getByRole("row")).toHaveCount(2); // the heading and one
    await expect(row(page, name)).toBeVisible();
  }
  await expect(page).toHaveURL("/webhooks?q=needle.found");
  await page.reload();
  await expect(search).toHaveValue("needle.found");
  await expect(page.getByRole("row")).toHaveCount(2);
  await search.fill("nothing like it");
  await expect(page.getByText("No webhook fits the search.")).toBeVisible();
});

test("an answer of 410 switches a webhook off, with the reason", async ({ signedIn: page, goto, api, receiver }) => {
  const { id } = await api.createWebhook({
    name: unique("Gone"),
    url: receiver.endpoint({ status: 410 }).url,
    events: ["job.created"],
  });
  await api.test(id);
  await expect.poll(async () => (await api.webhook(id)).state).toBe("disabled");
  await goto(`/webhooks/${id}`);
  await expect(page.getByText("Disabled", { exact: true })).toBeVisible();
  await expect(page.getByText("The endpoint answered 410 Gone")).toBeVisible();
});
