// Integrations: what works, what is broken, what it affects, and what to press (UC §3–§5, §8; test cases of UC §15).
import type { Page } from "@playwright/test";
import { Provider } from "../support/provider.ts";
import { Smtp } from "../support/smtp.ts";
import { disclosure, expect, expectFieldError, row, test as base, unique } from "../support/test.ts";

const test = base.extend<{ provider: Provider }>({
  provider: async ({}, use) => {
    const provider = await Provider.start();
    await use(provider);
    await provider.stop();
  },
});


const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const save = (page: Page) => page.getByRole("button", { name: "Save", exact: true });

/** Fills in the form of an e-mail integration. */
async function fillMail(page: Page, name: string, smtp: Smtp, password: string): Promise<void> {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("SMTP Host").fill("127.0.0.1");
  await page.getByLabel("SMTP Port").fill(String(smtp.port));
  await page.getByLabel("Username (API Key)").fill("apikey");
  await page.getByLabel("Password (API Secret)").fill(password);
  await page.getByLabel("From Email").fill("noreply@example.com");
  await page.getByLabel("From Name").fill("InTime Staffing");
}

test("ADMIN-INT-001: the dashboard shows all integrations with their status", async ({ signedIn: page, goto, world }) => {
  expect(world.outage).toBeTruthy();
  await goto("/integrations");
  const totals = page.getByRole("region", { name: "Health overview" });
  await expect(totals.getByRole("link", { name: /^Total/ })).toBeVisible();
  await expect(row(page, "Applicant API")).toContainText("Active");
  await expect(row(page, "Background checks")).toContainText("Error");
  const alerts = page.getByRole("region", { name: "Critical alerts" });
  await expect(alerts).toContainText("Background checks: Custom API is currently unavailable");
  await expect(alerts).toContainText("Impact: ");
  await alerts.getByRole("link", { name: /^Troubleshoot: Background checks/ }).click();
  await expect(heading(page)).toHaveText("Background checks");
  await expect(page.getByRole("region", { name: /^Recent errors/ })).toContainText("Repeated refusals suggest");

  await goto("/integrations");
  await page.getByLabel("Search integrations").fill("applicant");
  await expect(row(page, "Background checks")).toBeHidden();
  await expect(page).toHaveURL(/q=applicant/);
  await page.getByLabel("Search integrations").fill("");
  await page.getByLabel("Status", { exact: true }).selectOption("Error");
  await expect(row(page, "Applicant API")).toBeHidden();
  await page.getByRole("button", { name: "Health Check All" }).click();
  await expect(page.getByText(/^Checking \d+ integrations?$/)).toBeVisible();
});

test("Health Check All shows how far it is, survives a reload, is cancelled, and says what it found", async ({ signedIn: page, goto, api, provider }) => {
  await api.integration(unique("Held"), provider.url, "/held");
  await expect.poll(() => provider.asked.length).toBe(1);
  provider.held = true;
  await goto("/integrations");
  await page.getByRole("button", { name: "Health Check All" }).click();
  const progress = page.getByRole("progressbar", { name: "Health check of all integrations" });
  await expect(progress).toBeVisible();
  await expect.poll(() => provider.asked.length).toBe(2);
  await page.reload();
  await expect(progress).toBeVisible();
  await expect(page.getByText(/^\d+ of \d+ checked$/)).toBeVisible();
  await page.getByRole("button", { name: "Cancel check" }).click();
  await expect(page.getByText(/^Health check cancelled/)).toBeVisible();
  await expect(progress).toBeHidden();
  provider.release();

  await page.getByRole("button", { name: "Health Check All" }).click();
  await expect(page.getByText(/^Health check done: .*\d+ healthy/)).toBeVisible({ timeout: 60_000 });
  await page.reload();
  await expect(page.getByText(/^Health check done: .*\d+ healthy/)).toBeVisible();
});

test("ADMIN-INT-002: add an integration, and its health is checked", async ({ signedIn: page, goto, provider }) => {
  const name = unique("Payroll");
  await goto("/integrations");
  await page.getByRole("link", { name: "Add Integration" }).first().click();
  await page.getByLabel("Search providers").fill("any http");
  await page.getByRole("link", { name: /Custom API/ }).click();
  await save(page).click();
  await expectFieldError(page.getByLabel("API Address"), "API address is required");
  await expect(page.getByLabel("API Address")).toBeFocused();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("API Address").fill(provider.url);
  await page.getByLabel("Authorization").fill("Bearer 123");
  await save(page).click();
  await expect(heading(page)).toHaveText(name);
  await page.getByRole("link", { name: "Health", exact: true }).click();
  await expect(page.getByRole("region", { name: "Status" })).toContainText("Active");
});

test("ADMIN-INT-003: test an SMTP connection, and send a test e-mail", async ({ signedIn: page, goto }) => {
  const smtp = await Smtp.start();
  try {
    const name = unique("SMTP Email");
    await goto("/integrations/new?provider=smtp");
    await save(page).click();
    await expectFieldError(page.getByLabel("SMTP Host"), "SMTP host is required");
    await expectFieldError(page.getByLabel("From Email"), "From email address is required");
    await fillMail(page, name, smtp, "wrong");
    await page.getByRole("button", { name: "Test Connection" }).click();
    await expect(page.getByText("Authentication failed. Please check credentials.")).toBeVisible();
    await expect(page).toHaveURL(/\/integrations\/new/); // nothing was stored, and what was typed is there
    await page.getByLabel("Password (API Secret)").fill("right");
    await page.getByRole("button", { name: "Test Connection" }).click();
    await expect(page.getByText("Connected to Custom SMTP")).toBeVisible();
    await save(page).click();
    await expect(heading(page)).toHaveText(name);
    await page.getByLabel("To", { exact: true }).fill("candidate@example.com");
    await page.getByRole("button", { name: "Send Test Email" }).click();
    await expect(page.getByText("Email sent successfully").first()).toBeVisible();
    await expect(page.getByText("2.0.0 Taken as 1A2B3C").first()).toBeVisible(); // the server's own reply
    expect(smtp.messages.map(({ from, to }) => [from, to])).toEqual([["noreply@example.com", ["candidate@example.com"]]]);
    expect(smtp.messages[0]?.text).toContain("InTime Staffing");
  } finally {
    smtp.stop();
  }
});

test("ADMIN-INT-009: logs are filtered, searched, opened, and cleared", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/422.*clear-log/);
  const { id } = await api.integration(unique("Logged"), "http://127.0.0.1:9", "/");
  await api.call("POST", `/api/v1/integrations/${id}/test`);
  await goto(`/integrations/${id}`);
  await page.keyboard.press("l");
  const log = page.getByRole("list", { name: "Log" });
  await expect(log).toContainText("Custom API is currently unavailable");
  await log.locator("summary").first().click();
  await expect(log).toContainText("127.0.0.1:9");
  await page.getByLabel("Level").selectOption("Info");
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.getByText("No entry fits the filters.")).toBeVisible();
  await page.getByLabel("Level").selectOption("All levels");
  await page.getByLabel("Search logs").fill("unavailable");
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(log).toBeVisible();
  await expect(page.getByRole("link", { name: "Export CSV" })).toHaveAttribute("href", /level|q=unavailable/);
  await disclosure(page, "Clear").click();
  await page.getByRole("button", { name: "Yes, clear it" }).click();
  await expectFieldError(page.getByLabel("Confirmation"), "Type clear to confirm");
  await page.getByLabel("Confirmation").fill("clear");
  await page.getByRole("button", { name: "Yes, clear it" }).click();
  await expect(log).toBeHidden();
});

test("ADMIN-INT-010: a rate limit is told with its seconds", async ({ signedIn: page, goto, api, provider }) => {
  Object.assign(provider, { status: 429, headers: { "retry-after": "17" } });
  const { id } = await api.integration(unique("Limited"), provider.url, "/");
  await goto(`/integrations/${id}`);
  await page.getByRole("button", { name: "Test Connection" }).click();
  await expect(page.getByText("Rate limit exceeded. Retry in 17 seconds.").first()).toBeVisible();
});

test("ADMIN-INT-014: a key is shown for a password, and replaced", async ({ signedIn: page, goto, api, provider, faults }) => {
  faults.expect(/422.*reveal/);
  faults.expect(/409.*regenerate/);
  const { id } = await api.integration(unique("Keyed"), provider.url, "/");
  await goto(`/integrations/${id}?tab=settings`);
  await expect(page.getByText("Bearer test")).toBeHidden();
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByLabel("Your password").fill("wrong");
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByText("Password is incorrect")).toBeVisible();
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(page.getByText(/Custom API makes this secret\. Make a new one and enter it here\./)).toBeVisible();
  await page.getByLabel("Authorization").fill("Bearer second");
  await page.getByRole("button", { name: "Test & Save" }).click();
  await expect(page.getByRole("region", { name: "Status" })).toBeVisible();
  expect(provider.asked.at(-1)?.headers.authorization).toBe("Bearer second"); // the old one is not used any more
});

test("ADMIN-INT-015: disable an integration, and enable it again", async ({ signedIn: page, goto, api, provider }) => {
  const name = unique("Switched");
  const { id } = await api.integration(name, provider.url, "/");
  await goto(`/integrations/${id}`);
  await disclosure(page, "Disable Integration").click();
  await page.getByRole("button", { name: "Yes, disable it" }).click();
  await expect(page.getByRole("button", { name: "Enable Integration" })).toBeVisible();
  await goto("/integrations");
  await expect(row(page, name)).toContainText("Disabled");
  await goto(`/integrations/${id}`);
  await page.getByRole("button", { name: "Enable Integration" }).click();
  await expect(disclosure(page, "Disable Integration")).toBeVisible();
});

test("the tools of troubleshooting say what they find", async ({ signedIn: page, goto, world }) => {
  await goto(`/integrations/${world.outage}`);
  const troubleshooting = page.getByRole("region", { name: "Troubleshooting" });
  await troubleshooting.getByRole("button", { name: "Check Firewall" }).click();
  await expect(troubleshooting).toContainText("Port 9 of 127.0.0.1 is not open");
});

test("a runbook is ticked off, and members are told", async ({ signedIn: page, goto, api, provider }) => {
  const { id } = await api.integration(unique("Runbook"), provider.url, "/");
  await goto(`/integrations/${id}?tab=runbook`);
  await page.getByRole("checkbox").first().check();
  await page.getByLabel("Status note to members").fill("We are on it");
  await save(page).click();
  await expect(page.getByText("1 of")).toBeVisible();
  await expect(page.getByText("We are on it").first()).toBeVisible();
});

test("alerts are acknowledged and resolved, and the sidebar counts them", async ({ signedIn: page, goto, api }) => {
  const name = unique("Alerted");
  const { id } = await api.integration(name, "http://127.0.0.1:9", "/");
  await goto("/alerts");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  for (let bad = 0; bad < 3; bad += 1) await api.call("POST", `/api/v1/integrations/${id}/health-check`);
  const alert = page.getByRole("listitem").filter({ hasText: `${name}: ` }).last();
  await expect(alert).toContainText("Critical"); // without a reload
  await alert.getByRole("button", { name: /^Acknowledge/ }).click();
  await expect(alert).toContainText("Acknowledged by");
  await alert.getByRole("button", { name: /^Resolve/ }).click();
  await expect(page.getByText(`${name}: `)).toBeHidden();
  await page.getByRole("link", { name: "History" }).click();
  await expect(page.getByText(`${name}: `).first()).toBeVisible();
});

test("who is told of alerts is checked and kept", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/422.*save-settings/);
  await goto("/alerts?view=settings");
  await page.getByLabel("Alert e-mail addresses").fill("nobody");
  await save(page).click();
  await expectFieldError(page.getByLabel("Alert e-mail addresses"), "Please enter a valid email address");
  await page.getByLabel("Alert e-mail addresses").fill("ops@example.com, cto@example.com");
  await page.getByLabel("Remind every (minutes)").fill("30");
  await save(page).click();
  await expect(page.getByText("Saved")).toBeVisible();
  await goto("/alerts?view=settings");
  await expect(page.getByLabel("Alert e-mail addresses")).toHaveValue("ops@example.com, cto@example.com");
});
