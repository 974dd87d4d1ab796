// Signing in and out, and where that leads.
import { OWNER } from "../support/binary.ts";
import { expect, hydrated, signIn, test } from "../support/test.ts";

test("signing in leads to the overview, signing out back to the door", async ({ page, goto }) => {
  await goto("/");
  await expect(page).toHaveURL("/login");
  await signIn(page, OWNER.email, OWNER.password);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
  await hydrated(page);

  await page.getByRole("button", { name: "Account of Owner" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL("/login");

  // The session is over, not only the page left.
  await page.goto("/webhooks");
  await expect(page).toHaveURL("/login?next=/webhooks");
});

test("a wrong password and an unknown address are told alike, and the address is kept", async ({ page, goto }) => {
  for (const email of [OWNER.email, "nobody@example.com"]) {
    await goto("/login");
    await signIn(page, email, "not the password");
    await expect(page.getByRole("alert")).toHaveText("Email or password is incorrect");
    await expect(page.getByLabel("Email")).toHaveValue(email);
    await expect(page.getByLabel("Password")).toHaveValue("");
  }
});

test("who is sent to sign in comes back to what they wanted", async ({ page, goto }) => {
  await goto("/deliveries?status=dead_letter&event=job.created");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in to Signalbox");
  await signIn(page, OWNER.email, "not the password");
  await expect(page.getByRole("alert")).toHaveText("Email or password is incorrect");
  await signIn(page, OWNER.email, OWNER.password);
  await expect(page).toHaveURL("/deliveries?status=dead_letter&event=job.created");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Deliveries");
});

for (const next of ["//example.com", "https://example.com/", "/\\example.com"]) {
  test(`signing in never leads to another site (${next})`, async ({ page, goto }) => {
    await goto(`/login?next=${encodeURIComponent(next)}`);
    await signIn(page, OWNER.email, OWNER.password);
    await expect(page).toHaveURL("/");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
  });
}

test("who is signed in is not asked again", async ({ signedIn, goto }) => {
  await goto("/login");
  await expect(signedIn).toHaveURL("/");
  await goto("/setup");
  await expect(signedIn).toHaveURL("/");
});

test("a session that ends under an open page says so, with the way back", async ({ page, goto, faults }) => {
  await goto("/login?next=/events");
  await signIn(page, OWNER.email, OWNER.password);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Events");
  await hydrated(page);
  await page.context().clearCookies();
  faults.expect(/status of 401/);
  await page.getByRole("link", { name: "Webhooks" }).click();
  const alert = page.getByRole("alert").filter({ hasText: "Your session has ended. Sign in again." });
  await expect(alert).toBeVisible();
  await alert.getByRole("link", { name: "Sign in" }).click();
  await expect(page).toHaveURL("/login?next=/webhooks");
});
