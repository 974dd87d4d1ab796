// API keys: made, shown once, used, revoked.
import { Api } from "../support/api.ts";
import { disclosure, expect, expectFieldError, hydrated, row, test, unique } from "../support/test.ts";

test("a key is shown once, works within its scopes, and ends when it is revoked", async ({ signedIn: page, goto, server }) => {
  const name = unique("Recruiting service");
  await goto("/api");
  await page.getByLabel("Name").fill(name);
  await expect(page.getByRole("checkbox", { name: /^events:write/ })).toBeChecked();
  await page.getByRole("checkbox", { name: /^webhooks:read/ }).check();
  await page.getByRole("button", { name: "Create key" }).click();
  const created = page.getByRole("status").filter({ hasText: "Copy the key now: it is not shown again." });
  await expect(created).toContainText(name);
  const key = await page.getByRole("textbox", { name: "API key" }).inputValue();
  expect(key).toMatch(/^sbk_\S{40,}$/);
  await expect(row(page, name)).toContainText("webhooks:read");
  await expect(row(page, name)).toContainText(key.slice(0, 16));
  await expect(row(page, name)).toContainText("never");

  await page.reload();
  await hydrated(page);
  await expect(row(page, name)).toBeVisible();
  await expect(page.getByRole("textbox", { name: "API key" })).toHaveCount(0);
  expect(await page.content()).not.toContain(key);

  const program = new Api(server.url, key);
  await program.publish("job.created", {});
  await program.call("GET", "/api/v1/webhooks");
  await program.call("POST", "/api/v1/webhooks", { name: "x", url: "https://93.184.215.14/", events: ["*"] }, 403);
  await page.reload();
  await hydrated(page);
  await expect(row(page, name)).not.toContainText("never");

  const revoke = page.getByRole("button", { name: "Revoke key" });
  await disclosure(row(page, name), "Revoke").click();
  await revoke.click();
  await expect(row(page, name)).toContainText("Revoked");
  await program.call("GET", "/api/v1/webhooks", undefined, 401);
});

test("a key without name or scopes is refused at the fields", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 422/);
  await goto("/api");
  await page.getByRole("checkbox", { name: /^events:write/ }).uncheck();
  await page.getByRole("button", { name: "Create key" }).click();
  await expectFieldError(page.getByLabel("Name"), "Key name is required");
  await expect(page.getByText("Please select at least one scope")).toBeVisible();
  await expect(page.getByLabel("Name")).toBeFocused();
});

test("the documentation is one click away", async ({ signedIn: page, goto }) => {
  await goto("/api");
  await page.getByRole("link", { name: "Documentation" }).click();
  await expect(page).toHaveURL("/api/docs");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/Signalbox/);
  await page.getByRole("link", { name: "Back to Signalbox" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
});
