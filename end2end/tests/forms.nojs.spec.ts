// Without JavaScript: links link and forms post, refusals come back with what was typed.
import type { Page } from "@playwright/test";
import { ONE_RETRY } from "../support/api.ts";
import { OWNER } from "../support/binary.ts";
import { disclosure, expect, expectFieldError, row, signIn, test, unique } from "../support/test.ts";
import { screens } from "../support/world.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const result = (page: Page) => page.getByRole("region", { name: "Delivery result" });

test("sign in, be refused first, be led on, and sign out", async ({ page }) => {
  await page.goto("/webhooks?q=zapier");
  await expect(page).toHaveURL("/login?next=/webhooks%3Fq%3Dzapier");
  await signIn(page, OWNER.email, "not the password");
  await expect(page.getByRole("alert")).toHaveText("Email or password is incorrect");
  await expect(page.getByLabel("Email")).toHaveValue(OWNER.email);
  await page.getByLabel("Password").fill(OWNER.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL("/webhooks?q=zapier");
  await expect(heading(page)).toHaveText("Webhooks");

  await page.getByRole("button", { name: "Account of Owner" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL("/login");
  await page.goto("/webhooks");
  await expect(page).toHaveURL("/login?next=/webhooks");
});

test("every page is there, with its heading and its content", async ({ signedIn: page, world }) => {
  for (const screen of screens(world)) {
    const response = await page.goto(screen.path);
    expect(response?.status(), screen.name).toBe(200);
    await expect(heading(page), screen.name).toHaveText(screen.heading);
    await expect(page.getByText("Live updates need JavaScript")).toBeVisible();
  }
  await page.goto(`/deliveries/${world.deadLetter}`);
  await expect(page.getByRole("group").filter({ hasText: "#2" })).toContainText("Connection refused");
  await expect(page.getByRole("time").first()).toHaveText(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
});

test("create a webhook: refused with everything kept, then made", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const name = unique("Without scripts");
  const nameField = page.getByLabel("Webhook Name");
  const urlField = page.getByLabel("Webhook URL");
  const box = (label: string) => page.getByRole("checkbox", { name: label, exact: true });

  await page.goto("/webhooks/new");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expectFieldError(nameField, "Webhook name is required");
  await expectFieldError(urlField, "Webhook URL is required");
  await expectFieldError(
    page.getByRole("group", { name: "Events to Subscribe" }),
    "Please select at least one event to subscribe to",
  );

  await nameField.fill(name);
  await urlField.fill("http://93.184.215.14/hooks?a=1&b=ü");
  await box("job.created").check();
  await box("candidate.*").check();
  await box("Active").uncheck();
  await page.getByLabel("Description").fill('Says "hello" & more');
  await disclosure(page, "Scope, payload filter and custom headers").click();
  await page.getByLabel("Payload filter").fill('[{"path":"job.status","op":"eq","value":"active"}]');
  await page.getByLabel("Header name").fill("X-Team");
  await page.getByLabel("Header value").fill("platform");
  await page.getByRole("button", { name: "Save", exact: true }).click();

  await expectFieldError(urlField, "Webhook URLs must use HTTPS for security");
  await expect(nameField).toHaveValue(name);
  await expect(nameField).not.toHaveAttribute("aria-invalid", "true");
  await expect(urlField).toHaveValue("http://93.184.215.14/hooks?a=1&b=ü");
  await expect(box("job.created")).toBeChecked();
  await expect(box("candidate.*")).toBeChecked();
  await expect(box("job.updated")).not.toBeChecked();
  await expect(box("Active")).not.toBeChecked();
  await expect(page.getByLabel("Description")).toHaveValue('Says "hello" & more');
  await expect(page.getByLabel("Payload filter")).toHaveValue('[{"path":"job.status","op":"eq","value":"active"}]');
  await expect(page.getByLabel("Header name").first()).toHaveValue("X-Team");
  // A value can be a credential, so it does not travel in an address.
  expect(page.url()).not.toContain("platform");
  await expect(page.getByLabel("Header value").first()).toHaveValue("");

  await urlField.fill(endpoint.url);
  await page.getByLabel("Header value").first().fill("platform");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(heading(page)).toHaveText(name);
  expect(await api.webhookNamed(name)).toMatchObject({
    url: endpoint.url,
    events: ["job.created", "candidate.*"],
    description: 'Says "hello" & more',
    state: "disabled",
    headers: [{ name: "X-Team" }],
    filter: [{ path: "job.status", op: "eq", value: "active" }],
  });
});

test("Save & Test, change, switch off and on, delete", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const name = unique("Life of a webhook");
  await page.goto("/webhooks/new");
  await page.getByLabel("Webhook Name").fill(name);
  await page.getByLabel("Webhook URL").fill(endpoint.url);
  await page.getByRole("checkbox", { name: "job.created", exact: true }).check();
  await page.getByRole("button", { name: "Save & Test" }).click();
  await expect(result(page)).toContainText("✓ 200 OK");
  expect(endpoint.received).toHaveLength(1);

  await page.getByRole("navigation", { name: "Webhook" }).getByRole("link", { name: "Settings" }).click();
  await page.getByLabel("Webhook Name").fill(`${name}, changed`);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(heading(page)).toHaveText(`${name}, changed`);
  const { id } = await api.webhookNamed(`${name}, changed`);

  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByRole("button", { name: "Enable", exact: true })).toBeVisible();
  expect((await api.webhook(id)).state).toBe("disabled");
  await page.goto("/webhooks");
  await page.getByRole("button", { name: `Enable ${name}` }).click();
  await expect(row(page, name)).toContainText("Active");

  endpoint.secrets.add((await api.secret(id)).secret); // which nobody can ask for when the webhook is gone
  await page.goto(`/webhooks/${id}?tab=settings`);
  await disclosure(page, "Delete webhook").click();
  await page.getByRole("button", { name: "Yes, delete it" }).click();
  await expect(page).toHaveURL("/webhooks");
  await expect(row(page, name)).toHaveCount(0);
});

test("send a test, be refused for bad JSON, replay a failure", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint({ status: 500, body: "no" }, { status: 500, body: "no" }, { body: "now yes" });
  const { id } = await api.createWebhook({
    name: unique("Tested"),
    url: endpoint.url,
    events: ["job.closed"],
    retry_policy: ONE_RETRY,
  });
  await api.publish("job.closed", { id: "JOB-9" });
  await expect.poll(async () => (await api.deliveriesOf(id))[0]?.status).toBe("dead_letter");

  await page.goto(`/webhooks/${id}`);
  await page.getByLabel("Sample Payload").fill('{"kept": ');
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expectFieldError(page.getByLabel("Sample Payload"), "Not valid JSON: EOF while parsing a value at line 1 column 9");
  await expect(page.getByLabel("Sample Payload")).toHaveValue('{"kept": ');

  await page.getByRole("link", { name: "job.closed" }).first().click();
  await expect(page.getByText("Dead letter", { exact: true }).first()).toBeVisible();
  const failed = page.url();
  await page.getByRole("button", { name: "Replay" }).click();
  await expect(page).not.toHaveURL(failed);
  await expect(page.getByText("Replay of")).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(3);
  expect(endpoint.received[2]?.body.equals(endpoint.received[0]?.body ?? Buffer.of())).toBe(true);
  expect(endpoint.received[2]?.headers["webhook-id"]).toBe(endpoint.received[0]?.headers["webhook-id"]);

  await page.goto(`/webhooks/${id}`);
  await page.getByLabel("Sample Payload").fill('{"sent": true}');
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expect(result(page)).toContainText("✓ 200 OK");
  expect(endpoint.received[3]?.json.data).toEqual({ sent: true });
});

test("the sample follows the chosen event even though it cannot be shown", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const { id } = await api.createWebhook({ name: unique("Samples"), url: endpoint.url, events: ["job.*"] });
  await page.goto(`/webhooks/${id}`);
  const shown = JSON.parse(await page.getByLabel("Sample Payload").inputValue()) as unknown;
  await page.getByLabel("Event", { exact: true }).selectOption("job.closed");
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expect(result(page)).toContainText("✓ 200 OK");
  expect(endpoint.received[0]?.json.event).toBe("job.closed");
  expect(endpoint.received[0]?.json.data).not.toEqual(shown);
});

test("the secret is shown and regenerated", async ({ signedIn: page, api }) => {
  const name = unique("Secret");
  const { id, secret: old } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["job.created"] });
  await page.goto(`/webhooks/${id}?tab=secret`);
  const field = page.getByRole("textbox", { name: "Secret key" });
  await expect(field).toHaveValue(/•/);
  await page.getByRole("link", { name: "Show" }).click();
  await expect(field).toHaveValue(old);
  await disclosure(page, "Regenerate secret").click();
  await page.getByRole("textbox", { name: "Webhook Name" }).fill("not it");
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  await expectFieldError(page.getByRole("textbox", { name: "Webhook Name" }), `Type ${name} to confirm`);
  await page.getByRole("textbox", { name: "Webhook Name" }).fill(name);
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  const { secret } = await api.secret(id);
  expect(secret).not.toBe(old);
  await expect(field).toHaveValue(secret);
  await expect(page.getByText("The secret before it signs too, until")).toBeVisible();
});

test("search, filters and paging are plain links and forms", async ({ signedIn: page, api }) => {
  const name = unique("Found");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["task.completed"] });
  await api.createWebhook({ name: unique("Lost"), url: await api.inspectorUrl(), events: ["job.created"] });
  await api.test(id);
  await page.goto("/webhooks");
  await page.getByRole("searchbox", { name: "Search webhooks" }).fill("task.completed");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL("/webhooks?q=task.completed");
  await expect(page.getByRole("row")).toHaveCount(2);

  await page.goto("/deliveries");
  const filters = page.getByRole("form", { name: "Filters" });
  await filters.getByRole("combobox", { name: "Webhook" }).selectOption(name);
  await filters.getByRole("combobox", { name: "Status" }).selectOption("Delivered");
  await filters.getByRole("button", { name: "Apply" }).click();
  await expect(page).toHaveURL(new RegExp(`webhook_id=${id}`));
  await expect(page.getByRole("row")).toHaveCount(2);
  await expect(filters.getByRole("combobox", { name: "Status" })).toHaveValue("delivered");
  await page.getByRole("link", { name: "Remove filter status: Delivered" }).click();
  await expect(page).toHaveURL(`/deliveries?webhook_id=${id}`);
});

test("the signature explainer answers in the address, without the secret", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const { id, secret } = await api.createWebhook({ name: unique("Explained"), url: endpoint.url, events: ["task.completed"] });
  await api.test(id);
  const { headers, body } = endpoint.received[0] ?? { headers: {}, body: "" };
  await page.goto(`/webhooks/${id}?tab=signature`);
  await page.getByLabel("Headers").fill(JSON.stringify(headers));
  await page.getByLabel("Body").fill(body.toString("utf8"));
  await page.getByLabel("Secret", { exact: true }).fill(secret);
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(page.getByRole("heading", { name: "The signature verifies" })).toBeVisible();
  await expect(page.getByText("webhook-signature verifies with the secret that you gave.")).toBeVisible();
  await expect(page.getByLabel("Body")).toHaveValue(body.toString("utf8"));
  expect(page.url()).not.toContain(secret);
});

test("the retry policy: a preset, a refusal that keeps what was typed, saved", async ({ signedIn: page, api }) => {
  const before = await api.call("GET", "/api/v1/retry-policy");
  await page.goto("/retry-policy");
  await page.getByRole("link", { name: "Patient" }).click();
  await expect(page.getByRole("radio", { name: "List of delays" })).toBeChecked();
  await expect(page.getByLabel("Delays", { exact: true })).toHaveValue("1m, 5m, 15m, 1h, 4h, 1d");
  await expect(page.getByRole("table", { name: "Retry times" }).getByRole("row")).toHaveCount(7);
  await page.getByRole("radio", { name: "Fixed delay" }).check();
  await page.getByLabel("Max Retries").fill("12");
  await page.getByRole("textbox", { name: "Delay", exact: true }).fill("20");
  await page.getByRole("checkbox", { name: "4xx Client Errors (usually not retriable)" }).check();
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expectFieldError(page.getByLabel("Max Retries"), "Maximum retry count is 10");
  await expect(page.getByRole("radio", { name: "Fixed delay" })).toBeChecked();
  await expect(page.getByRole("textbox", { name: "Delay", exact: true })).toHaveValue("20");
  await expect(page.getByRole("checkbox", { name: "4xx Client Errors (usually not retriable)" })).toBeChecked();
  await page.getByLabel("Max Retries").fill("2");
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(page).toHaveURL("/retry-policy");
  const stored = { strategy: "fixed", max_retries: 2, initial_delay_s: 20, retry_on: { client_errors: true } };
  expect(await api.call("GET", "/api/v1/retry-policy")).toMatchObject(stored);
  await api.call("PUT", "/api/v1/retry-policy", before);
});

test("the theme, and clearing the Inspector", async ({ signedIn: page, api }) => {
  await page.goto("/webhooks");
  await page.getByRole("button", { name: "Account of Owner" }).click();
  await page.getByRole("button", { name: "Dark theme" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page).toHaveURL(/\/webhooks\??$/);

  await fetch(await api.inspectorUrl(), { method: "POST", body: "{}" });
  await page.goto("/inspector");
  await disclosure(page, "Clear").click();
  await page.getByRole("button", { name: "Yes, clear" }).click();
  await expect(page).toHaveURL("/inspector");
  await expect(page.getByText("Nothing was received yet.")).toBeVisible();
});

test("the first run works by forms too", async ({ page, newcomer }) => {
  await page.goto(newcomer.setupLink);
  await page.getByLabel("Organization").fill("Acme Staffing");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create organization" }).click();
  await expectFieldError(page.getByLabel("Password"), "Password must be at least 12 characters");
  await expect(page.getByLabel("Setup token")).toHaveValue(/.{16,}/);
  await expect(page.getByLabel("Organization")).toHaveValue("Acme Staffing");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Create organization" }).click();
  await expect(heading(page)).toHaveText("Overview");
  await page.getByRole("button", { name: "Create webhook" }).click();
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expect(page.getByText("Verified", { exact: true })).toBeVisible();
  await page.getByRole("link", { name: "Open Inspector" }).click();
  await expect(page.getByRole("region", { name: "Requests" }).getByRole("group")).toContainText("Verified");
});

test("dead letters: cleared, brought back, retried, one by one and as chosen", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint({ status: 400 }, { status: 400 }, { status: 200 });
  const { id } = await api.createWebhook({
    name: unique("Given up"),
    url: endpoint.url,
    events: ["job.closed"],
  });
  await api.publish("job.closed", { n: 1 });
  await api.publish("job.closed", { n: 2 });
  await expect.poll(async () => (await api.deadLettersOf(id)).length).toBe(2);
  const letters = await api.deadLettersOf(id);
  const boxes = page.getByRole("checkbox", { name: /^Select dlv_/ });
  await page.goto(`/dead-letters?webhook_id=${id}`);
  await page.getByRole("button", { name: `Clear ${letters[0]}` }).click();
  await expect(boxes).toHaveCount(1);
  await expect(page.getByText("1 dead letter cleared.")).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  expect(await api.deadLettersOf(id)).toEqual(letters);
  await page.goto(`/dead-letters?webhook_id=${id}`);
  await page.getByRole("button", { name: "Retry Selected" }).click();
  await expect(page.getByText("Choose at least one dead letter.")).toBeVisible();
  for (const box of await boxes.all()) await box.check();
  await page.getByRole("button", { name: "Retry Selected" }).click();
  await expect(boxes).toHaveCount(0);
  await expect.poll(() => endpoint.received.length).toBe(4);
});

test("a payload is edited and sent, and refused with what was typed", async ({ signedIn: page, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const { id } = await api.createWebhook({ name: unique("Edited"), url: endpoint.url, events: ["job.updated"] });
  await api.publish("job.updated", { n: 1 });
  await expect.poll(async () => (await api.deliveriesOf(id))[0]?.status).toBe("delivered");
  const [first] = await api.deliveriesOf(id);
  await page.goto(`/deliveries/${first?.id}`);
  await disclosure(page, "Edit and resend").click();
  await page.getByLabel("Payload", { exact: true }).fill('{"n": ');
  await page.getByRole("button", { name: "Send Edited" }).click();
  await expectFieldError(page.getByLabel("Payload", { exact: true }), "Not valid JSON: EOF while parsing a value at line 1 column 6");
  await expect(page.getByLabel("Payload", { exact: true })).toHaveValue('{"n": ');
  await page.getByLabel("Payload", { exact: true }).fill('{"n": 2}');
  await page.getByRole("button", { name: "Send Edited" }).click();
  await expect(page.getByText("Edited from")).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(2);
});
