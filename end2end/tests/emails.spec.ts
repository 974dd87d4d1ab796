// E-mails: what was sent and what became of it, templates with their preview, and addresses to which nothing is sent.
import type { Page } from "@playwright/test";
import type { Api } from "../support/api.ts";
import { Smtp } from "../support/smtp.ts";
import { disclosure, expect, expectFieldError, row, test as base, unique } from "../support/test.ts";

const test = base.extend<{ smtp: Smtp }>({
  smtp: async ({}, use) => {
    const smtp = await Smtp.start();
    await use(smtp);
    smtp.stop();
  },
});

/** What the tests' own look into a frame that may run nothing comes to. */
const LOOKED_INTO_A_FRAME = /console: Blocked script execution in '(about:blank|.*\/_ui\/)/;

const heading = (page: Page) => page.getByRole("heading", { level: 1 });

/** An e-mail integration that sends through `smtp`. */
async function sender(api: Api, smtp: Smtp): Promise<string> {
  const config = {
    smtp_host: "127.0.0.1",
    smtp_port: smtp.port,
    smtp_security: "none",
    smtp_username: "apikey",
    from_email: "noreply@example.com",
    from_name: "Signalbox",
  };
  const draft = { provider: "smtp", name: unique("Mail"), config, secrets: { smtp_password: "right" } };
  return (await api.call<{ id: string }>("POST", "/api/v1/integrations", draft)).id;
}

test("an e-mail appears as it is sent, and shows what the server replied", async ({ signedIn: page, goto, api, smtp, faults }) => {
  faults.expect(LOOKED_INTO_A_FRAME);
  const integration_id = await sender(api, smtp);
  const to = `${unique("ada").replace(" ", "-")}@example.com`;
  await goto("/");
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await expect(heading(page)).toHaveText("E-mails");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  const draft = { to, subject: "Your interview", html: "<h1 style='color:red'>Monday</h1>", integration_id };
  await api.call("POST", "/api/v1/emails", draft);
  await expect(row(page, to)).toContainText("Sent"); // without a reload
  await page.getByRole("link", { name: to }).click();
  await expect(heading(page)).toHaveText("Your interview");
  const steps = page.getByRole("list", { name: "Steps" });
  await expect(steps.getByRole("listitem")).toHaveCount(2);
  await expect(steps).toContainText("2.0.0 Taken as 1A2B3C");
  await expect(page.frameLocator("iframe").getByRole("heading", { name: "Monday" })).toHaveCSS("color", "rgb(255, 0, 0)");
  expect(smtp.messages.map((message) => message.to)).toEqual([[to]]);
});

test("what did not arrive is found by its state and its recipient", async ({ signedIn: page, goto, api, smtp }) => {
  const integration_id = await sender(api, smtp);
  const note = (to: string) => api.call("POST", "/api/v1/emails", { to, subject: "Note", text: "A note", integration_id });
  await note("reply-550+list@example.com");
  await note("reply-450+list@example.com");
  await note("drop+list@example.com");
  await goto("/emails");
  await expect(row(page, "reply-550+list@example.com")).toContainText("Bounced");
  await expect(row(page, "reply-550+list@example.com")).toContainText("550 5.1.1 No such user here");
  await expect(row(page, "reply-450+list@example.com")).toContainText("Deferred");
  await expect(row(page, "drop+list@example.com")).toContainText("May have arrived");
  await page.getByLabel("State").selectOption("Deferred");
  await expect(row(page, "reply-550+list@example.com")).toBeHidden();
  await expect(page).toHaveURL(/state=deferred/);
  await page.getByRole("link", { name: /^Remove filter state/ }).click();
  await page.getByLabel("Recipient").fill("reply-550+list@example.com");
  await page.keyboard.press("Enter");
  await expect(row(page, "reply-450+list@example.com")).toBeHidden();
  await page.getByRole("link", { name: "reply-550+list@example.com" }).click();
  await expect(page.getByRole("list", { name: "Steps" })).toContainText("Bounced");

  // An address that does not exist gets nothing more, until somebody says otherwise.
  await page.goBack();
  await page.getByRole("link", { name: "Suppressions" }).click();
  const gone = row(page, "reply-550+list@example.com");
  await expect(gone).toContainText("Bounced");
  await expect(gone).toContainText("550 5.1.1 No such user here");
  await gone.getByText("Remove", { exact: true }).click();
  await gone.getByRole("button", { name: "Yes, send again" }).click();
  await expect(gone).toBeHidden();
});

test("an address is suppressed by hand, found, and nothing is sent to it", async ({ signedIn: page, goto, api, smtp, faults }) => {
  faults.expect(/422.*suppressions/);
  await sender(api, smtp);
  await goto("/emails/suppressions");
  await page.keyboard.press("n");
  await page.getByRole("button", { name: "Suppress", exact: true }).click();
  await expectFieldError(page.getByLabel("Address *"), "Please enter a valid email address");
  await page.getByLabel("Address *").fill("Left@example.com");
  await page.getByLabel("Note").fill("Left the company");
  await page.getByRole("button", { name: "Suppress", exact: true }).click();
  await expect(row(page, "left@example.com")).toContainText("Left the company");
  await page.getByLabel("Address", { exact: true }).fill("nobody");
  await page.keyboard.press("Enter");
  await expect(page.getByText("No address fits the filters.")).toBeVisible();
  await page.getByLabel("Address", { exact: true }).fill("left@");
  await page.keyboard.press("Enter");
  await expect(row(page, "left@example.com")).toContainText("Added by hand");
  await api.call("POST", "/api/v1/emails", { to: "left@example.com", subject: "s", text: "t" });
  await page.getByRole("link", { name: "left@example.com" }).click();
  await expect(row(page, "left@example.com")).toContainText("Suppressed");
  expect(smtp.messages).toEqual([]);
});

test("a template shows what a recipient would see, and what is wrong in which line", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/422.*email-templates/);
  faults.expect(LOOKED_INTO_A_FRAME);
  const name = unique("interview");
  await goto("/emails/templates");
  await page.keyboard.press("n");
  await expect(heading(page)).toHaveText("New template");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expectFieldError(page.getByLabel("Subject *"), "Subject is required");
  await page.getByLabel("Name *").fill(name);
  await page.getByLabel("Subject *").fill("Interview on {{ at }}");
  const html = page.getByRole("textbox", { name: "HTML" });
  await html.fill("<h1 style='color:red'>\nDear {{ candidate.name }}</h1>");
  const preview = page.frameLocator("iframe[name=preview]");
  await expect(preview.getByRole("heading")).toHaveText("Dear [candidate.name]");
  await expect(preview.getByRole("heading")).toHaveCSS("color", "rgb(255, 0, 0)");
  await expect(page.getByText("Interview on [at]")).toBeVisible();
  await page.getByRole("textbox", { name: "Sample values" }).fill('{"candidate": {"name": "<Ada>"}}');
  await expect(preview.getByRole("heading")).toHaveText("Dear <Ada>");
  await expect(page.getByLabel("Preview of the text")).toContainText("Dear <Ada>");
  await html.fill("<p>\n{{ candidate.name </p>");
  await expect(html).toHaveAccessibleDescription(/line 2: /);
  await page.getByRole("textbox", { name: "Sample values" }).fill("{");
  await expect(page.getByRole("textbox", { name: "Sample values" })).toHaveAccessibleDescription(/Not a JSON object/);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(html).toBeFocused(); // refused, and nothing is lost
  await html.fill("<p>{{ candidate.name }}</p>");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(heading(page)).toHaveText("Edit template");
  await expect(page.getByRole("textbox", { name: "Sample values" })).toHaveValue(/"name": "\[candidate.name\]"/);

  const draft = { to: "ada@example.com", template: name, data: { at: "Monday", candidate: { name: "Ada" } } };
  const email = await api.call<{ subject: string }>("POST", "/api/v1/emails", draft);
  expect(email.subject).toBe("Interview on Monday");
  await disclosure(page, "Delete").click();
  await page.getByRole("button", { name: "Yes, delete it" }).click();
  await expect(heading(page)).toHaveText("E-mail templates");
  await expect(row(page, name)).toBeHidden();
});

test("an integration shows what it has sent against its limits", async ({ signedIn: page, goto, api, smtp }) => {
  const id = await sender(api, smtp);
  await api.call("POST", "/api/v1/emails", { to: "usage@example.com", subject: "s", text: "t", integration_id: id });
  await expect.poll(() => smtp.messages.length).toBe(1);
  await goto(`/integrations/${id}?tab=settings`);
  const usage = page.getByRole("region", { name: "Current usage" });
  await expect(usage).toContainText("1 of 1,000 this hour");
  await expect(usage).toContainText("1 of 25,000 today");
});

test("an integration depends on another one", async ({ signedIn: page, goto, api }) => {
  const parent = unique("Parent");
  await api.integration(parent, "http://127.0.0.1:9", "/");
  const { id } = await api.integration(unique("Child"), "http://127.0.0.1:9", "/");
  await goto(`/integrations/${id}?tab=settings`);
  await disclosure(page, "Health check").click();
  await page.getByLabel("Depends on").selectOption(parent);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(async () => (await api.call<{ depends_on: string | null }>("GET", `/api/v1/integrations/${id}`)).depends_on).toMatch(/^int_/);
});
