// How deliveries are tried again: the organization's policy (UC §13, §17; part 2, "Retry Configuration").
import type { Page } from "@playwright/test";
import { expect, expectFieldError, row, test } from "../support/test.ts";

interface Policy {
  strategy: string | { list: number[] };
  max_retries: number;
  initial_delay_s: number;
  max_delay_s: number;
  jitter: string;
  timeout_s: number;
  retry_on: Record<string, boolean>;
  dead_letters: boolean;
  dead_letter_retention_days: number;
}

const DEFAULT = {
  strategy: "exponential",
  max_retries: 3,
  initial_delay_s: 5,
  max_delay_s: 60,
  jitter: "twenty_percent",
  timeout_s: 30,
  dead_letters: true,
  dead_letter_retention_days: 7,
};

const save = (page: Page) => page.getByRole("button", { name: "Save Changes" });
const times = (page: Page) => page.getByRole("table", { name: "Retry times" });
const strategy = (page: Page) => page.getByRole("group", { name: "Retry Strategy" });

test.afterEach(async ({ api }) => {
  await api.call("PUT", "/api/v1/retry-policy", DEFAULT);
});

test("ADMIN-INT-015: configure the retry policy", async ({ signedIn: page, goto, api }) => {
  await goto("/retry-policy");
  await expect(page.getByRole("radio", { name: "Exponential backoff (recommended)" })).toBeChecked();
  await page.getByRole("radio", { name: "Linear delay" }).check();
  await page.getByLabel("Max Retries").fill("4");
  await page.getByLabel("Initial delay").fill("10");
  await page.getByLabel("Max delay").fill("120");
  await page.getByLabel("Timeout per attempt").fill("20");
  await page.getByRole("radio", { name: "No jitter" }).check();
  await page.getByRole("checkbox", { name: "429 Too Many Requests (may need rate limiting)" }).check();
  await page.getByRole("checkbox", { name: "DNS Resolution Failure (ENOTFOUND)" }).uncheck();
  await page.getByLabel("DLQ retention").fill("30");
  await save(page).click();
  await expect(page.getByRole("status").filter({ hasText: "Saved" })).toBeVisible();

  const stored = await api.call<Policy>("GET", "/api/v1/retry-policy");
  expect(stored).toMatchObject({
    strategy: "linear",
    max_retries: 4,
    initial_delay_s: 10,
    max_delay_s: 120,
    timeout_s: 20,
    jitter: "none",
    dead_letters: true,
    dead_letter_retention_days: 30,
  });
  expect(stored.retry_on).toMatchObject({ rate_limited: true, dns_failures: false, server_errors: true });

  await page.reload();
  await expect(page.getByRole("radio", { name: "Linear delay" })).toBeChecked();
  await expect(page.getByLabel("Max Retries")).toHaveValue("4");
  await expect(page.getByRole("checkbox", { name: "DNS Resolution Failure (ENOTFOUND)" })).not.toBeChecked();
});

test("the times follow what is typed, and presets fill the form in", async ({ signedIn: page, goto, api }) => {
  await goto("/retry-policy");
  await expect(times(page).getByRole("row")).toHaveCount(4); // the heading and three
  await expect(row(times(page), "20 s")).toContainText("28 s – 42 s after the first try");
  await expect(page.getByRole("button", { name: "Quick" })).toHaveAttribute("aria-pressed", "true");

  await page.getByLabel("Max Retries").fill("5");
  await expect(times(page).getByRole("row")).toHaveCount(6);
  await expect(page.getByRole("button", { name: "Quick" })).toHaveAttribute("aria-pressed", "false");
  await page.getByRole("radio", { name: "No jitter" }).check();
  await expect(page.getByText("A delivery that still fails after 2 min 15 s becomes a dead letter.")).toBeVisible();
  await page.getByLabel("Max Retries").fill("eleven");
  await expect(page.getByText("As soon as every field is right, the times appear here.")).toBeVisible();

  await page.getByRole("button", { name: "Standard Webhooks" }).click();
  await expect(page.getByRole("button", { name: "Standard Webhooks" })).toBeFocused();
  await expect(page.getByRole("radio", { name: "List of delays" })).toBeChecked();
  await expect(page.getByLabel("Delays", { exact: true })).toHaveValue("5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 1d");
  await expect(page.getByLabel("Max Retries")).toBeHidden();
  await expect(times(page).getByRole("row")).toHaveCount(10);
  await page.getByLabel("Delays", { exact: true }).fill("1m 10m");
  await expect(times(page).getByRole("row")).toHaveCount(3);
  await save(page).click();
  await expect(page.getByRole("status").filter({ hasText: "Saved" })).toBeVisible();
  expect((await api.call<Policy>("GET", "/api/v1/retry-policy")).strategy).toEqual({ list: [60, 600] });
});

const REFUSED: [field: string, typed: string, message: string][] = [
  ["Max Retries", "", "Max retries is required"],
  ["Max Retries", "0", "Minimum retry count is 1"],
  ["Max Retries", "11", "Maximum retry count is 10"],
  ["Initial delay", "0", "Minimum delay is 1 second"],
  ["Max delay", "", "Maximum delay is required"],
  ["Max delay", "9", "Minimum max delay is 10 seconds"],
  ["Max delay", "301", "Maximum delay cannot exceed 300 seconds"],
  ["Timeout per attempt", "61", "Timeout must be between 1 and 60 seconds"],
  ["DLQ retention", "91", "Retention must be between 1 and 90 days"],
];

test("every limit is told at its field, in the words of the specification", async ({ signedIn: page, goto }) => {
  const calls: string[] = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/retry-policy/save")) calls.push(request.url());
  });
  await goto("/retry-policy");
  for (const [field, typed, message] of REFUSED) {
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-hydrated", "true");
    await page.getByLabel(field).fill(typed);
    await save(page).click();
    await expectFieldError(page.getByLabel(field), message);
    await expect(page.getByLabel(field)).toBeFocused();
  }
  await page.getByRole("radio", { name: "Fixed delay" }).check();
  await page.getByLabel("DLQ retention").fill("7");
  for (const [typed, message] of [
    ["", "Delay is required for fixed interval strategy"],
    ["301", "Maximum delay is 300 seconds (5 minutes)"],
  ] as const) {
    await page.getByRole("textbox", { name: "Delay", exact: true }).fill(typed);
    await save(page).click();
    await expectFieldError(page.getByRole("textbox", { name: "Delay", exact: true }), message);
  }
  await page.getByRole("radio", { name: "List of delays" }).check();
  await page.getByLabel("Delays", { exact: true }).fill("5s, soon");
  await save(page).click();
  await expectFieldError(strategy(page), '"soon" is not a delay; write 30s, 5m, 2h or 1d');
  await page.getByLabel("Delays", { exact: true }).fill("8d");
  await save(page).click();
  await expectFieldError(strategy(page), "Each delay must be between 1 second and 7 days");
  expect(calls).toEqual([]);
});
