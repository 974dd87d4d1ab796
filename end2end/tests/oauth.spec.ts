// Connections by OAuth 2.0 with a real authorization server in a real browser (UC §11, P2 "OAuth Connection"; test cases of
// UC §15 and P2).
import type { Page } from "@playwright/test";
import { Oauth } from "../support/oauth.ts";
import { disclosure, expect, hydrated, test as base, unique } from "../support/test.ts";

const test = base.extend<{ oauth: Oauth }>({
  oauth: async ({ baseURL, faults }, use) => {
    const oauth = await Oauth.start({ redirect_uris: [`${baseURL}/oauth/callback/custom_oauth`] });
    faults.allow(oauth.url);
    await use(oauth);
    oauth.stop();
  },
});

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const status = (page: Page) => page.getByRole("region", { name: "Connection status" });
const permissions = (page: Page) => page.getByRole("region", { name: "Permissions" });

/** Fills in the form of the authorization server. */
async function configure(page: Page, oauth: Oauth, name: string, secret = "right-secret"): Promise<void> {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Client ID").fill("signalbox");
  await page.getByLabel("Client Secret").fill(secret);
  await page.getByLabel("Issuer").fill(oauth.url);
  await page.getByLabel("OAuth Scopes").fill("openid email offline_access calendar.read");
  await disclosure(page, "Advanced").click();
  await page.getByLabel("Calendar List URL").fill(`${oauth.url}/calendars`);
}

/** Consents on the provider's own page. */
async function allow(page: Page, { account = "john", withhold = "" } = {}): Promise<void> {
  await expect(page.getByRole("heading", { name: /login|consent/ })).toBeVisible();
  await page.getByLabel("Account").fill(account);
  await page.getByLabel("Withhold").fill(withhold);
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL(/\/integrations\/int_[a-z0-9]+\?tab=connection/);
  await hydrated(page);
}

/** A connected account, by way of the form. */
async function connected(page: Page, goto: (path: string) => Promise<unknown>, oauth: Oauth, name: string): Promise<void> {
  await goto("/integrations/new?provider=custom_oauth");
  await configure(page, oauth, name);
  await page.getByRole("button", { name: "Save & Connect" }).click();
  await allow(page);
}

test("ADMIN-INT-007 and ADMIN-INT-019: an account is connected, and its tokens are stored", async ({ signedIn: page, goto, oauth }) => {
  const name = unique("Calendar");
  await goto("/integrations/new?provider=custom_oauth");
  await expect(page.getByLabel("Redirect URI")).toHaveValue(/\/oauth\/callback\/custom_oauth$/);
  await expect(page.getByLabel("Redirect URI")).toHaveAttribute("readonly", "");
  await page.getByRole("button", { name: "Save Configuration" }).click();
  await expect(page.getByText("Client ID is required")).toBeVisible();
  await expect(page.getByText("Client secret is required")).toBeVisible();
  await expect(page.getByText("Please select at least one permission scope")).toBeVisible();

  await configure(page, oauth, name, "wrong-secret");
  await page.getByRole("button", { name: "Test OAuth Flow" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Authentication failed" })).toContainText("Client ID and secret do not belong together");
  await page.getByLabel("Client Secret").fill("right-secret");
  await page.getByRole("button", { name: "Test OAuth Flow" }).click();
  await expect(page.getByText("The provider accepts client ID and secret.")).toBeVisible();

  await page.getByRole("button", { name: "Save & Connect" }).click();
  await allow(page);
  await expect(heading(page)).toHaveText(name);
  await expect(status(page)).toContainText("Connected as john@company.com");
  await expect(status(page)).toContainText("(auto-refresh enabled)");
  await expect(permissions(page).getByLabel("calendar.read")).toBeChecked();
  expect(oauth.tokens.filter(({ status }) => status === 200)).toMatchObject([{ grant_type: "authorization_code" }]);

  await page.getByLabel("Default calendar").selectOption("Interviews");
  await page.getByLabel("Auto-sync interviews").check();
  await page.getByRole("button", { name: "Save Settings" }).click();
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();

  // The check is a real call with a real token.
  await page.getByRole("button", { name: "Test Connection" }).click();
  await expect(page.getByText(/Connected to Custom OAuth/).first()).toBeVisible();

  // Reconnecting keeps the integration and its settings, also with another account.
  const path = new URL(page.url()).pathname;
  await status(page).getByRole("button", { name: "Reconnect" }).click();
  await allow(page, { account: "mary" });
  await expect(status(page)).toContainText("Connected as mary@company.com");
  expect(new URL(page.url()).pathname).toBe(path);
  await hydrated(page);
  await expect(page.getByLabel("Default calendar")).toHaveValue("team");
  await expect(page.getByLabel("Auto-sync interviews")).toBeChecked();
});

test("ADMIN-INT-008 and ADMIN-INT-020: an access that ends is renewed without anybody", async ({ signedIn: page, goto, oauth }) => {
  await oauth.change({ access_s: 2 });
  await connected(page, goto, oauth, unique("Short"));
  await expect.poll(() => oauth.refreshes(), { timeout: 30_000 }).toBeGreaterThan(1);
  await expect(status(page)).toContainText("Connected as john@company.com");
  await expect(page.getByRole("region", { name: "Refreshes" }).getByText("Renewed").first()).toBeVisible();
  expect(oauth.tokens.filter(({ status }) => status !== 200)).toEqual([]);
});

test("what a provider did not grant is named with what it blocks, and asked for alone", async ({ signedIn: page, goto, oauth }) => {
  await goto("/integrations/new?provider=custom_oauth");
  await configure(page, oauth, unique("Partly"));
  await page.getByRole("button", { name: "Save & Connect" }).click();
  await allow(page, { withhold: "calendar.read" });
  const missing = permissions(page).getByLabel(/calendar\.read/);
  await expect(permissions(page)).toContainText("calendar.read (not currently authorized)");
  await missing.check();
  await page.getByRole("button", { name: "Request Additional Permissions" }).click();
  await allow(page);
  await expect(permissions(page)).not.toContainText("not currently authorized");
});

test("an account's owner who says no is told what to do", async ({ signedIn: page, goto, oauth, faults }) => {
  faults.expect(/400/);
  await goto("/integrations/new?provider=custom_oauth");
  await configure(page, oauth, unique("Denied"));
  await page.getByRole("button", { name: "Save & Connect" }).click();
  await page.getByRole("button", { name: "Deny" }).click();
  await expect(heading(page)).toHaveText("The account was not connected");
  await expect(page.getByText("The owner of the account said no")).toBeVisible();
  await page.getByRole("link", { name: "Back to the integration" }).click();
  await hydrated(page);
  await expect(status(page)).toContainText("No account is connected");
});

test("a lost answer asks for a new consent, in the words of the specification", async ({ signedIn: page, goto, oauth, faults }) => {
  faults.expect(/503|409/);
  await connected(page, goto, oauth, unique("Lost"));
  await oauth.change({ drop: true });
  await page.getByRole("button", { name: "Refresh Now" }).click();
  await expect(status(page).getByRole("alert")).toContainText("did not renew the access");
  await oauth.change({ drop: false });
  await page.getByRole("button", { name: "Refresh Now" }).click();
  await expect(status(page)).toContainText("Please reconnect your Custom OAuth 2.0 account");
  await expect(status(page)).toContainText("Needs re-authentication");
  await status(page).getByRole("button", { name: "Reconnect" }).click();
  await allow(page);
  await expect(status(page)).toContainText("Connected as john@company.com");
});

test("ADMIN-INT-021: disconnecting ends the access and erases the tokens", async ({ signedIn: page, goto, oauth }) => {
  await connected(page, goto, oauth, unique("Ended"));
  await disclosure(page, "Disconnect").click();
  await page.getByRole("button", { name: "Yes, disconnect it" }).click();
  await expect(page.getByText("Custom OAuth 2.0 has ended the access, and the tokens were erased here.")).toBeVisible();
  await expect(status(page)).toContainText("No account is connected");
  await expect(status(page).getByRole("button", { name: "Connect Custom OAuth 2.0" })).toBeVisible();
});

test("a colleague connects by a link, without an account here", async ({ signedIn: page, goto, oauth, browser }) => {
  await goto("/integrations/new?provider=custom_oauth");
  await configure(page, oauth, unique("By link"));
  await page.getByRole("button", { name: "Save Configuration" }).click();
  await page.waitForURL(/tab=settings/);
  await hydrated(page);
  await page.getByRole("link", { name: "Connection", exact: true }).click();
  await page.getByRole("button", { name: "Link for a Colleague" }).click();
  const link = (await status(page).getByText(/\/connect\//).textContent())!.trim();
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(link);
  await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("Connect your Custom OAuth 2.0 account");
  await stranger.getByRole("button", { name: "Continue to Custom OAuth 2.0" }).click();
  await stranger.getByLabel("Account").fill("mary");
  await stranger.getByRole("button", { name: "Allow" }).click();
  await expect(stranger.getByText(/mary@company.com is connected/)).toBeVisible();
  await stranger.context().close();
  // It is told to whoever looks, without a reload.
  await expect(status(page)).toContainText("Connected as mary@company.com");
});
