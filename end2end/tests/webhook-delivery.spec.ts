// How the deliveries of one webhook are tried again and paced, and what its page says when its endpoint fails.
import type { Page } from "@playwright/test";
import { ONE_RETRY } from "../support/api.ts";
import { disclosure, expect, expectFieldError, row, test, unique } from "../support/test.ts";

const save = (page: Page) => page.getByRole("button", { name: "Save", exact: true });
const heading = (page: Page) => page.getByRole("heading", { level: 1 });

test("an own retry policy, and back to the organization's", async ({ signedIn: page, goto, api }) => {
  const name = unique("Own policy");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["task.rejected"] });
  await goto(`/webhooks/${id}?tab=settings`);
  await disclosure(page, "Retry policy").click();
  await expect(page.getByRole("radio", { name: /^As the organization/ })).toBeChecked();
  await expect(page.getByText("Exponential backoff: 3 retries, after 5 s, 10 s, 20 s").first()).toBeVisible();
  await expect(page.getByLabel("Max Retries")).toBeHidden();

  await page.getByRole("radio", { name: /^Own policy/ }).check();
  await page.getByRole("radio", { name: "Fixed delay" }).check();
  await page.getByLabel("Max Retries").fill("2");
  await page.getByRole("textbox", { name: "Delay", exact: true }).fill("30");
  await expect(page.getByText("Fixed delay: 2 retries, after 30 s, 30 s")).toBeVisible();
  await page.getByLabel("Max delay").fill("20");
  await save(page).click();
  await expectFieldError(page.getByLabel("Max delay"), "Maximum delay must not be shorter than the initial delay");
  await page.getByLabel("Max delay").fill("60");
  await save(page).click();
  await expect
    .poll(() => api.webhook(id))
    .toMatchObject({ retry_policy: { strategy: "fixed", max_retries: 2, initial_delay_s: 30 } });

  await page.reload();
  await expect(page.getByLabel("Max Retries")).toHaveValue("2"); // unfolded, because it is special
  await page.getByRole("radio", { name: /^As the organization/ }).check();
  await save(page).click();
  await expect.poll(() => api.webhook(id)).toMatchObject({ retry_policy: null, version: 3 });
});

test("pace, order and age are kept, and refused at their fields", async ({ signedIn: page, goto, api }) => {
  const name = unique("Paced");
  await goto("/webhooks/new");
  await page.getByLabel("Webhook Name").fill(name);
  await page.getByLabel("Webhook URL").fill(await api.inspectorUrl());
  await page.getByRole("checkbox", { name: "task.rejected", exact: true }).check();
  await disclosure(page, "Advanced: pace, order and age").click();
  await page.getByRole("textbox", { name: "Rate limit" }).fill("5000");
  await page.getByLabel("Time to live").fill("soon");
  await disclosure(page, "Advanced: pace, order and age").click();
  await save(page).click();
  // What is refused unfolds.
  await expectFieldError(page.getByRole("textbox", { name: "Rate limit" }), "Rate limit must be between 1 and 1000 per second");
  await expect(page.getByRole("textbox", { name: "Rate limit" })).toBeFocused();
  await expect(page.getByLabel("Time to live")).toHaveAccessibleDescription(/"soon" is not a delay; write 30s, 5m, 2h or 1d/);
  await page.getByRole("textbox", { name: "Rate limit" }).fill("5");
  await page.getByLabel("Requests in flight").fill("2");
  await page.getByLabel("Time to live").fill("12h");
  await page.getByLabel("Disable after").fill("");
  await page.getByRole("checkbox", { name: "Keep the order of events" }).check();
  await save(page).click();
  await expect(heading(page)).toHaveText(name);
  const { id } = await api.webhookNamed(name);
  const options = { rate_limit_per_s: 5, max_in_flight: 2, time_to_live_s: 43_200, disable_after: 0, ordered: true };
  expect(await api.webhook(id)).toMatchObject({ options });

  await goto(`/webhooks/${id}?tab=settings`);
  await expect(page.getByLabel("Time to live")).toHaveValue("12h");
  await expect(page.getByLabel("Disable after")).toHaveValue("0");
  await page.getByLabel("Description").fill("changed");
  await save(page).click();
  await expect.poll(() => api.webhook(id)).toMatchObject({ description: "changed", options });
});

test("an endpoint that fails: a warning at half, then disabled with the reason and the next probe", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const name = unique("Failing");
  const endpoint = receiver.endpoint({ status: 500 });
  const { id } = await api.createWebhook({
    name,
    url: endpoint.url,
    events: ["task.approved"],
    retry_policy: ONE_RETRY,
    options: { disable_after: 4 },
  });
  await api.publish("task.approved", { id: "TSK-1" });
  await expect.poll(async () => (await api.webhook(id)).consecutive_failures).toBe(2);
  const warning = "2 tries in a row failed; after 4 it is disabled.";
  await goto(`/webhooks/${id}`);
  await expect(page.getByText(warning)).toBeVisible();
  await goto("/webhooks");
  await expect(row(page, name)).toContainText(warning);

  await api.publish("task.approved", { id: "TSK-2" });
  await expect.poll(async () => (await api.webhook(id)).state).toBe("disabled");
  await page.reload();
  await expect(row(page, name)).toContainText("Disabled by itself: 4 tries in a row failed.");
  await page.getByRole("link", { name, exact: true }).click();
  await expect(page.getByText(/Disabled by itself: 4 tries in a row failed\. Its deliveries wait; one is tried in \d+ s\./)).toBeVisible();
  endpoint.answers({});
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(page.getByText("Active", { exact: true })).toBeVisible();
  await expect(page.getByText("Disabled by itself")).toHaveCount(0);
});

test("a webhook in order says that it waits, and how long", async ({ signedIn: page, goto, api, receiver }) => {
  const { id } = await api.createWebhook({
    name: unique("In order"),
    url: receiver.endpoint({ status: 503 }).url,
    events: ["approval.rejected"],
    retry_policy: { ...ONE_RETRY, initial_delay_s: 250, max_delay_s: 300 },
    options: { ordered: true },
  });
  await api.publish("approval.rejected", { id: "TSK-1" });
  await expect.poll(async () => (await api.webhook(id)).blocked_until).not.toBeNull();
  await goto(`/webhooks/${id}`);
  await expect(page.getByText(/In order: the others wait behind the first delivery, which failed\. It is tried again in (3|4) min/)).toBeVisible();
});
