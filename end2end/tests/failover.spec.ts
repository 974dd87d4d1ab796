// Failover with two real mail servers: mail goes out though the provider is down (P2 AC-7).
import type { Page } from "@playwright/test";
import type { Api } from "../support/api.ts";
import { Smtp } from "../support/smtp.ts";
import { disclosure, expect, expectFieldError, test as base, unique } from "../support/test.ts";

/** A primary and somebody who can stand in for it. */
interface Pair {
  primary: Smtp;
  backup: Smtp;
  primaryId: string;
  backupId: string;
  primaryName: string;
  backupName: string;
}

const test = base.extend<{ pair: Pair }>({
  pair: async ({ api, signedIn: page }, use) => {
    const [primary, backup] = await Promise.all([Smtp.start(), Smtp.start()]);
    const [primaryName, backupName] = [unique("SendGrid"), unique("Amazon SES")];
    const primaryId = await add(api, "sendgrid", primaryName, primary);
    const backupId = await add(api, "ses", backupName, backup);
    await use({ primary, backup, primaryId, backupId, primaryName, backupName });
    // What another test sends must not go through them; a page that shows them would ask for them once more.
    await page.goto("about:blank");
    for (const id of [primaryId, backupId]) await api.call("DELETE", `/api/v1/integrations/${id}`);
    for (const server of [primary, backup]) server.stop();
  },
});

async function add(api: Api, provider: string, name: string, { port }: Smtp): Promise<string> {
  const config = {
    smtp_host: "127.0.0.1",
    smtp_port: port,
    smtp_security: "none",
    smtp_username: "apikey",
    from_email: "noreply@example.com",
    from_name: "InTime Staffing",
  };
  const secrets = { smtp_password: "right" };
  const { id } = await api.call<{ id: string }>("POST", "/api/v1/integrations", { provider, name, config, secrets });
  return id;
}

async function link(api: Api, { primaryId, backupId }: Pair): Promise<void> {
  await api.call("PUT", `/api/v1/integrations/${primaryId}/failover`, { backup_integration_id: backupId });
}

async function send(api: Api, { primaryId }: Pair, to: string): Promise<void> {
  const email = { to, subject: "Interview", text: "On Monday", integration_id: primaryId };
  await api.call("POST", "/api/v1/emails", email, 202);
}

const card = (page: Page, name: string) => page.getByRole("article", { name });
const open = (page: Page, button: string, name: string) => disclosure(card(page, name), button).click();
const recipients = ({ messages }: Smtp) => messages.flatMap(({ to }) => to).sort();

test("ADMIN-INT-022: a backup provider is linked", async ({ signedIn: page, goto, pair, faults }) => {
  faults.expect(/422.*failover/);
  await goto(`/integrations/${pair.primaryId}`);
  await page.getByRole("link", { name: "Failover", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Failover Configuration - Email" })).toBeVisible();
  await page.getByRole("button", { name: "Save Configuration" }).click();
  const backup = page.getByRole("combobox", { name: "Backup provider" });
  await expectFieldError(backup, "Please select a backup provider");
  await backup.selectOption({ label: pair.backupName });
  const threshold = page.getByLabel("Trigger after");
  await expect(threshold).toHaveValue("3");
  for (const wrong of ["0", "101"]) {
    await threshold.fill(wrong);
    await page.getByRole("button", { name: "Save Configuration" }).click();
    await expectFieldError(threshold, "Trigger after must be between 1 and 100 consecutive failures");
  }
  await threshold.fill("5");
  await page.getByRole("button", { name: "Save Configuration" }).click();
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  await expect(card(page, pair.primaryName)).toContainText(`${pair.primaryName} (Currently Active)`);
  await expect(card(page, pair.primaryName)).toContainText(`127.0.0.1:${pair.primary.port}`);
  await expect(card(page, pair.backupName)).toContainText("Standby");
  await card(page, pair.backupName).getByRole("button", { name: /^Test Connection/ }).click();
  await expect(page.getByText("Connected to AWS SES")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Trigger after")).toHaveValue("5");
});

test("ADMIN-INT-023, ADMIN-INT-011: work switches to the backup when the primary fails", async ({ signedIn: page, goto, api, pair }) => {
  await link(api, pair);
  await goto(`/integrations/${pair.primaryId}?tab=failover`);
  await expect(card(page, pair.primaryName)).toContainText("(Currently Active)");
  await pair.primary.change({ greeting: 421 });
  for (const number of [1, 2, 3, 4]) await send(api, pair, `n${number}@example.com`);
  // The open page says so by itself.
  await expect(card(page, pair.backupName)).toContainText("(Currently Active)");
  await expect(card(page, pair.primaryName)).toContainText("Down");
  await expect(card(page, pair.primaryName)).toContainText(/Next try in \d+ s/);
  await expect(page.getByRole("region", { name: "History" })).toContainText("3 failures in a row");
  await expect.poll(() => recipients(pair.backup)).toEqual([1, 2, 3, 4].map((number) => `n${number}@example.com`));
  expect(recipients(pair.primary)).toEqual([]);
  // Somebody is alerted, and finds the way here.
  await goto("/alerts");
  await page.getByRole("link", { name: `${pair.primaryName}: work runs on ${pair.backupName}` }).click();
  await expect(page.getByRole("heading", { name: "Failover Configuration - Email" })).toBeVisible();
});

test("ADMIN-INT-024: an administrator switches to the backup", async ({ signedIn: page, goto, api, pair, faults }) => {
  faults.expect(/422.*failover/);
  await link(api, pair);
  await goto(`/integrations/${pair.primaryId}?tab=failover`);
  await open(page, "Switch Now", pair.backupName);
  await page.getByRole("button", { name: "Yes, switch now" }).click();
  await expect(page.getByText("Please give a reason").first()).toBeVisible();
  await card(page, pair.backupName).getByLabel("Reason").first().fill("The provider announced an outage");
  await page.getByRole("button", { name: "Yes, switch now" }).click();
  await expect(page.getByText(`Work runs on ${pair.backupName}`)).toBeVisible();
  await expect(card(page, pair.backupName)).toContainText("(Currently Active)");
  await expect(page.getByText("Somebody decided: nothing moves by itself")).toBeVisible();
  await expect(page.getByRole("region", { name: "History" })).toContainText("The provider announced an outage");
  await send(api, pair, "a@example.com");
  await expect.poll(() => recipients(pair.backup)).toEqual(["a@example.com"]);
});

test("ADMIN-INT-025: the primary is restored, but not while it is bad", async ({ signedIn: page, goto, api, pair, faults }) => {
  faults.expect(/409.*failover/);
  await link(api, pair);
  await api.call("POST", `/api/v1/integrations/${pair.primaryId}/failover/trigger`, { reason: "Trying" });
  await pair.primary.change({ greeting: 421 });
  await goto(`/integrations/${pair.primaryId}?tab=failover`);
  const restore = async () => {
    await open(page, "Restore Primary", pair.primaryName);
    await card(page, pair.primaryName).getByLabel("Reason").fill("The outage is over");
    await page.getByRole("button", { name: "Yes, restore primary" }).click();
  };
  await restore();
  await expect(page.getByText(`${pair.primaryName} does not work: SendGrid is currently unavailable`)).toBeVisible();
  await pair.primary.change({ greeting: 0 });
  await goto(`/integrations/${pair.primaryId}?tab=failover`);
  await restore();
  await expect(page.getByText(`Work runs on ${pair.primaryName}`)).toBeVisible();
  await expect(card(page, pair.primaryName)).toContainText("(Currently Active)");
  await send(api, pair, "b@example.com");
  await expect.poll(() => recipients(pair.primary)).toEqual(["b@example.com"]);
});

test("the health page switches to the backup, and the backup can become the primary", async ({ signedIn: page, goto, api, pair }) => {
  await link(api, pair);
  await pair.primary.change({ greeting: 554 });
  await api.call("POST", `/api/v1/integrations/${pair.primaryId}/test`);
  await goto(`/integrations/${pair.primaryId}`);
  await page.getByRole("button", { name: "Switch to Backup" }).click();
  await expect(page.getByText(`Work runs on ${pair.backupName}`)).toBeVisible();
  await goto(`/integrations/${pair.backupId}?tab=failover`);
  await expect(page.getByText("The settings are those of")).toBeVisible();
  await open(page, "Make Primary", pair.backupName);
  await card(page, pair.backupName).getByLabel("Reason").last().fill("A better contract");
  await page.getByRole("button", { name: "Yes, make primary" }).click();
  await expect(page.getByRole("button", { name: "Save Configuration" })).toBeVisible();
  await expect(page.getByRole("combobox", { name: "Backup provider" })).toHaveValue(pair.primaryId);
});
