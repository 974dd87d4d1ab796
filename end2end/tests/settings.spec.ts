// How the screens look, who belongs to the organization, and what roles see.
import { expect, expectFieldError, hydrated, row, signIn, test, unique } from "../support/test.ts";

test("the theme follows the system until one is chosen, and is there at the first paint", async ({ signedIn: page, goto }) => {
  await goto("/webhooks");
  const html = page.locator("html");
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  expect(dark).not.toBe(light);

  await page.getByRole("button", { name: "Account of Owner" }).click();
  await page.getByRole("button", { name: "Light theme" }).click();
  await expect(html).toHaveAttribute("data-theme", "light");
  expect(await background()).toBe(light);
  const response = await page.request.get("/webhooks");
  expect(await response.text()).toMatch(/<html[^>]*data-theme="light"/);

  await page.reload();
  await hydrated(page);
  await page.getByRole("button", { name: "Account of Owner" }).click();
  await expect(page.getByRole("button", { name: "Light theme" })).toHaveAttribute("aria-pressed", "true");
  await page.getByRole("button", { name: "System theme" }).click();
  await expect(html).not.toHaveAttribute("data-theme");
  expect(await background()).toBe(dark);
});

test("rows can be closer together", async ({ signedIn: page, goto }) => {
  await goto("/settings");
  await page.getByLabel("Density").selectOption("Compact");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.locator("html")).toHaveAttribute("data-density", "compact");
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-density", "compact");
});

test("a member chooses which alerts are told by e-mail and by the browser", async ({ signedIn: page, goto }) => {
  await goto("/settings");
  const down = page.getByRole("checkbox", { name: "Integration down: E-mail" });
  const slow = page.getByRole("checkbox", { name: "Slow responses: Browser" });
  await expect(down).not.toBeChecked();
  await expect(slow).toBeChecked();
  await down.check();
  await slow.uncheck();
  await page.getByRole("button", { name: "Save notifications" }).click();
  await expect(page.getByText("Saved")).toBeVisible();
  await page.reload();
  await expect(down).toBeChecked();
  await expect(slow).not.toBeChecked();
  await down.uncheck();
  await slow.check();
  await page.getByRole("button", { name: "Save notifications" }).click();
  await expect(page.getByText("Saved")).toBeVisible();
});

test("a viewer is added, signs in, and is offered nothing that viewers may not do", async ({
  signedIn: page,
  goto,
  api,
  browser,
  server,
  faults,
}) => {
  faults.expect(/status of 422/);
  const webhook = await api.createWebhook({ name: unique("Seen"), url: await api.inspectorUrl(), events: ["job.created"] });
  const email = `${unique("vera").replace(" ", "")}@example.com`;
  await goto("/settings");
  await page.getByText("Add a member").click();
  await page.getByRole("button", { name: "Add member" }).click();
  await expectFieldError(page.getByLabel("Name"), "Name is required");
  await expectFieldError(page.getByLabel("Email"), "Please enter a valid email address");
  await expectFieldError(page.getByLabel("Password"), "Password must be at least 12 characters");
  await expect(page.getByLabel("Name")).toBeFocused();
  await page.getByLabel("Name").fill("Vera");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill("a password for vera");
  await page.getByLabel("Role").selectOption("viewer");
  await page.getByRole("button", { name: "Add member" }).click();
  await expect(row(page, email)).toContainText("viewer");

  const hers = await browser.newContext({ baseURL: server.url });
  const view = await hers.newPage();
  await view.goto("/webhooks");
  await signIn(view, email, "a password for vera");
  await expect(row(view, webhook.name)).toBeVisible();
  await expect(view.getByRole("link", { name: "New Webhook" })).toHaveCount(0);
  await expect(view.getByRole("button", { name: `Disable ${webhook.name}` })).toHaveCount(0);
  await view.goto(`/webhooks/${webhook.id}?tab=secret`);
  await expect(view.getByText("Only owners and admins see the secret.")).toBeVisible();
  await view.goto(`/webhooks/${webhook.id}`);
  await expect(view.getByRole("button", { name: "Send Test Webhook" })).toBeDisabled();
  await view.goto("/api");
  await expect(view.getByText("Only owners and admins manage API keys.")).toBeVisible();
  await view.goto("/settings");
  await expect(view.getByText("Only owners and admins read the audit log.")).toBeVisible();
  await expect(view.getByText("Add a member")).toHaveCount(0);
  await hers.close();
});

test("the audit log says who did what to what", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({ name: unique("Audited"), url: await api.inspectorUrl(), events: ["job.created"] });
  await goto(`/webhooks/${id}`);
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("Disabled", { exact: true })).toBeVisible();
  await goto("/settings");
  const entries = page.getByRole("table", { name: "Audit log" }).getByRole("row").filter({ hasText: id });
  await expect(entries.filter({ hasText: "webhook.disabled" })).toContainText("Owner");
  await expect(entries.filter({ hasText: "webhook.created" })).toContainText("Bootstrap");
});
