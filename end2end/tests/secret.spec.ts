// The signing secret: hidden, shown, copied without being shown, regenerated with an overlap.
import { bodySignature, isVerified } from "../support/receiver.ts";
import { disclosure, expect, expectFieldError, test, unique } from "../support/test.ts";

test("the secret is hidden until it is asked for, and copied without being shown", async ({ signedIn: page, goto, api }) => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const { id, secret } = await api.createWebhook({ name: unique("Secret"), url: await api.inspectorUrl(), events: ["*"] });
  await goto(`/webhooks/${id}?tab=secret`);
  const field = page.getByRole("textbox", { name: "Secret key" });
  await expect(field).toHaveAccessibleDescription("Used to verify webhook signatures (X-InTime-Signature header)");
  await expect(field).toHaveValue(/•/);
  expect(await page.content()).not.toContain(secret);

  await page.getByRole("button", { name: "Copy" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Copied to the clipboard" })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
  await expect(field).toHaveValue(/•/);

  await page.getByRole("button", { name: "Show" }).click();
  await expect(field).toHaveValue(secret);
  await page.getByRole("button", { name: "Hide" }).click();
  await expect(field).toHaveValue(/•/);

  // Who looked is known.
  await goto("/settings");
  const look = page.getByRole("table", { name: "Audit log" }).getByRole("row").filter({ hasText: id });
  await expect(look.filter({ hasText: "webhook.secret_revealed" }).first()).toContainText("Owner");
});

test("regenerating asks for the name; during the overlap both secrets sign", async ({
  signedIn: page,
  goto,
  api,
  receiver,
  faults,
}) => {
  faults.expect(/status of 422/);
  const endpoint = receiver.endpoint();
  const name = unique("Rotated");
  const { id, secret: old } = await api.createWebhook({ name, url: endpoint.url, events: ["job.created"] });
  await goto(`/webhooks/${id}?tab=secret`);
  await disclosure(page, "Regenerate secret").click();
  const confirmation = page.getByRole("textbox", { name: "Webhook Name" });
  await confirmation.fill("something else");
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  await expectFieldError(confirmation, `Type ${name} to confirm`);
  await expect(confirmation).toBeFocused();
  expect((await api.secret(id)).secret).toBe(old);

  await page.getByLabel("The old secret signs for another").selectOption("1 hour");
  await confirmation.fill(name);
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  await expect(page.getByText("The secret before it signs too, until")).toBeVisible();
  const { secret } = await api.secret(id);
  expect(secret).not.toBe(old);
  await expect(page.getByRole("textbox", { name: "Secret key" })).toHaveValue(secret);

  await api.test(id);
  const [delivery] = endpoint.received;
  if (!delivery) throw new Error("nothing arrived");
  expect(isVerified(delivery, secret)).toBe(true);
  expect(isVerified(delivery, old)).toBe(true);
  expect(delivery.headers["x-intime-signature"]).toBe(bodySignature(secret, delivery.body));
  expect(delivery.headers["x-intime-signature-previous"]).toBe(bodySignature(old, delivery.body));
});

test("regenerating without overlap ends the old secret at once", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const name = unique("Revoked");
  const { id, secret: old } = await api.createWebhook({ name, url: endpoint.url, events: ["job.created"] });
  await goto(`/webhooks/${id}?tab=secret`);
  await disclosure(page, "Regenerate secret").click();
  await page.getByLabel("The old secret signs for another").selectOption("Revoke the old one at once");
  await page.getByRole("textbox", { name: "Webhook Name" }).fill(name);
  await page.getByRole("button", { name: "Regenerate", exact: true }).click();
  await expect(page.getByRole("textbox", { name: "Secret key" })).toHaveValue(/^whsec_[A-Za-z0-9+/]/);
  await expect(page.getByText("The secret before it signs too, until")).toBeHidden();
  await api.test(id);
  const [delivery] = endpoint.received;
  if (!delivery) throw new Error("nothing arrived");
  expect(isVerified(delivery, old)).toBe(false);
  expect(delivery.headers).not.toHaveProperty("x-intime-signature-previous");
});
