// axe on every page and on what opens, in light and in dark (WCAG 2.2 AA). What axe cannot see is in keyboard.spec.ts.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { Oauth } from "../support/oauth.ts";
import { disclosure, expect, hydrated, test, unique } from "../support/test.ts";
import { screens } from "../support/world.ts";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

async function expectAccessible(page: Page): Promise<void> {
  // What stands in an e-mail is its author's, and nothing may run in its frame: axe would wait there for ever.
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).exclude("iframe[sandbox]").analyze();
  const found = violations.map(({ id, help, nodes }) => {
    const examples = nodes.slice(0, 3).map(({ html, failureSummary }) => `\n  ${html.slice(0, 300)}\n  ${failureSummary}`);
    return `${id}: ${help} (${nodes.length} times)${examples.join("")}`;
  });
  expect(found.length, found.join("\n\n")).toBe(0);
}

test("every page", async ({ signedIn: page, goto, world }) => {
  test.setTimeout(300_000); // fifty pages, looked at closely
  for (const screen of screens(world)) {
    await test.step(screen.name, async () => {
      await goto(screen.path);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(screen.heading);
      await expectAccessible(page);
    });
  }
});

test("failover", async ({ signedIn: page, goto, api }) => {
  const config = { smtp_host: "127.0.0.1", smtp_port: 9, from_email: "noreply@example.com", from_name: "Acme", smtp_username: "u" };
  const add = (provider: string) => {
    const draft = { provider, name: unique(provider), config, secrets: { smtp_password: "x" } };
    return api.call<{ id: string }>("POST", "/api/v1/integrations", draft);
  };
  const [primary, backup] = [await add("sendgrid"), await add("ses")];
  const path = `/api/v1/integrations/${primary.id}/failover`;
  await api.call("PUT", path, { backup_integration_id: backup.id });
  await api.call("POST", `${path}/trigger`, { reason: "To look at it", force: true });
  // With what would have happened.
  await goto(`/integrations/${primary.id}?tab=failover&hours=1&threshold=1`);
  await expect(page.getByRole("region", { name: "What would happen if" })).toContainText("it did move 1 time");
  await expect(page.getByRole("region", { name: "History" })).toContainText("To look at it");
  await disclosure(page, "Restore Primary").click();
  await expectAccessible(page);
  for (const { id } of [primary, backup]) await api.call("DELETE", `/api/v1/integrations/${id}`);
});

test("connecting an account, and its connection", async ({ signedIn: page, goto, api, baseURL, faults }) => {
  const oauth = await Oauth.start({ redirect_uris: [`${baseURL}/oauth/callback/custom_oauth`] });
  faults.allow(oauth.url);
  const { id } = await api.call<{ id: string }>("POST", "/api/v1/integrations", {
    provider: "custom_oauth",
    name: unique("Calendar"),
    config: { client_id: "signalbox", issuer: oauth.url, scopes: "openid email calendar.read", calendars_url: `${oauth.url}/calendars` },
    secrets: { client_secret: "right-secret" },
  });
  const path = `/integrations/${id}?tab=connection`;
  await goto(path);
  await expectAccessible(page);
  const link = await api.call<{ authorization_url: string }>("POST", `/api/v1/integrations/${id}/oauth/links`, {});
  await page.goto(link.authorization_url);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Continue to Custom OAuth 2.0" }).click();
  await page.getByLabel("Withhold").fill("calendar.read");
  await page.getByRole("button", { name: "Allow" }).click();
  await expect(page.getByText(/john@company.com is connected/)).toBeVisible();
  await expectAccessible(page);
  await goto(path);
  await expect(page.getByLabel("Default calendar").getByText("The account's own choice")).toBeAttached();
  await disclosure(page, "Disconnect").click();
  await expectAccessible(page);
  oauth.stop();
});

test("the API documentation", async ({ page }) => {
  // One very long page: axe takes its time.
  test.setTimeout(240_000);
  await page.goto("/api/docs");
  await expectAccessible(page);
});

test("signing in, and being refused", async ({ page, goto }) => {
  await goto("/login");
  await expectAccessible(page);
  await page.getByLabel("Email").fill("nobody@example.com");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toHaveText("Email or password is incorrect");
  await hydrated(page);
  await expectAccessible(page);
});

test("a new installation: setting up, its refusals, and everything empty", async ({ page, goto, newcomer }) => {
  test.slow(); // eight pages
  await goto(newcomer.setupLink);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Create organization" }).click();
  await expect(page.getByLabel("Organization")).toHaveAttribute("aria-invalid", "true");
  await hydrated(page);
  await expectAccessible(page);
  await page.getByLabel("Organization").fill("Acme Staffing");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Create organization" }).click();
  await hydrated(page);
  await expect(page.getByRole("region", { name: "Your first delivery in three clicks" })).toBeVisible();
  await expectAccessible(page);
  for (const path of ["/webhooks", "/events", "/deliveries", "/inspector", "/api"]) {
    await goto(newcomer.url + path);
    await expectAccessible(page);
  }
});

test("dialogs, menus and notes", async ({ signedIn: page, goto }) => {
  await goto("/settings");
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("dialog", { name: "Command palette" }).getByRole("option").first()).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("dialog").getByRole("combobox").fill("nothing is called like this");
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Account of Owner" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByRole("status").filter({ hasText: "Saved" })).toBeVisible();
  await expectAccessible(page);
});

test("refused forms and open confirmations", async ({ signedIn: page, goto, world, faults }) => {
  faults.expect(/status of 422/);
  await goto("/webhooks/new");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await disclosure(page, "Scope, payload filter and custom headers").click();
  await expect(page.getByLabel("Webhook Name")).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);

  await goto("/api");
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(page.getByLabel("Name")).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);
  await page.getByLabel("Name").fill(unique("Looked at"));
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(page.getByRole("textbox", { name: "API key" })).toBeVisible();
  await disclosure(page, "Revoke").first().click();
  await expectAccessible(page);

  await goto("/settings");
  await page.getByText("Add a member").click();
  await page.getByRole("button", { name: "Add member" }).click();
  await expect(page.getByLabel("Password")).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);

  await goto(`/webhooks/${world.webhook}?tab=settings`);
  await disclosure(page, "Delete webhook").click();
  await expectAccessible(page);

  await goto("/retry-policy");
  await page.getByLabel("Max Retries").fill("");
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByLabel("Max Retries")).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);

  await goto(`/webhooks/${world.webhook}?tab=secret`);
  await disclosure(page, "Regenerate secret").click();
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  await expect(page.getByRole("textbox", { name: "Webhook Name" })).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);

  await goto(`/webhooks/${world.webhook}`);
  await page.getByLabel("Sample Payload").fill("{");
  await expect(page.getByLabel("Sample Payload")).toHaveAttribute("aria-invalid", "true");
  await expectAccessible(page);
});

test("opened boxes that act on many, and that edit", async ({ signedIn: page, goto, world }) => {
  const boxes = [
    { path: `/dead-letters?webhook_id=${world.broken}`, summary: "Clear All That Match", inside: "Confirmation" },
    { path: `/dead-letters?webhook_id=${world.broken}`, summary: "Retry All That Match", inside: "Yes, retry them" },
    { path: `/webhooks/${world.broken}?tab=deliveries`, summary: "Replay Failed", inside: "Yes, replay them" },
    { path: `/deliveries/${world.delivered}`, summary: "Edit and resend", inside: "Payload" },
    { path: "/inspector", summary: "Respond with", inside: "Body" },
  ];
  for (const { path, summary, inside } of boxes) {
    await test.step(summary, async () => {
      await goto(path);
      await disclosure(page, summary).click();
      const field = page.getByRole("textbox", { name: inside, exact: true });
      await expect(field.or(page.getByRole("button", { name: inside }))).toBeVisible();
      await expectAccessible(page);
    });
  }
});

test("live rows that wait, opened tries, an opened request", async ({ signedIn: page, goto, api, world }) => {
  const { id } = await api.createWebhook({ name: unique("Looked at"), url: await api.inspectorUrl(), events: ["job.created"] });
  await goto(`/webhooks/${id}?tab=deliveries`);
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await api.test(id);
  await expect(page.getByRole("button", { name: "1 new" })).toBeVisible();
  await page.getByRole("button", { name: "Pause" }).click();
  await expectAccessible(page);

  await goto(`/deliveries/${world.deadLetter}`);
  await page.locator(".try-number").first().click();
  await page.getByText("Raw").first().click();
  await expectAccessible(page);

  await goto("/inspector");
  await page.getByRole("region", { name: "Requests" }).getByRole("group").first().getByText("POST").click();
  await page.getByText("Try it with curl").click();
  await expectAccessible(page);
});

test("pages that are not there, and a small screen with its menu", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 404/);
  await goto("/no/such/page");
  await expectAccessible(page);
  await goto("/webhooks/nonsense");
  await expectAccessible(page);
  await page.setViewportSize({ width: 360, height: 740 });
  await goto("/deliveries");
  await expectAccessible(page);
  await page.getByRole("button", { name: "Menu" }).click();
  await expect(page.getByRole("link", { name: "Inspector" })).toBeInViewport();
  await expectAccessible(page);
});
