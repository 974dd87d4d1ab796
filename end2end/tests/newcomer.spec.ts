// From the line that the server prints on its first run to a verified delivery.
import { expect, expectFieldError, hydrated, test } from "../support/test.ts";

test("the printed link leads to the first verified delivery in three clicks", async ({ page, newcomer }) => {
  await page.goto(newcomer.url);
  await expect(page).toHaveURL(`${newcomer.url}/setup`);

  await page.goto(newcomer.setupLink);
  await hydrated(page);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Set up Signalbox");
  await expect(page.getByLabel("Setup token")).toHaveValue(/.{16,}/);
  await page.getByLabel("Organization").fill("Acme Staffing");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Create organization" }).click();

  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");
  await hydrated(page);
  const panel = page.getByRole("region", { name: "Your first delivery in three clicks" });
  const send = panel.getByRole("button", { name: "Send Test Webhook" });
  await expect(send).toBeDisabled();

  await panel.getByRole("button", { name: "Create webhook" }).click(); // one
  await send.click(); // two, as soon as the webhook is there
  await expect(panel.getByText("Verified", { exact: true })).toBeVisible();
  await expect(page.getByRole("row", { name: /job\.created.*Delivered/ })).toBeVisible();

  await panel.getByRole("link", { name: "Open Inspector" }).click(); // three
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Inspector");
  const request = page.getByRole("region", { name: "Requests" }).getByRole("group");
  await expect(request).toHaveCount(1);
  await expect(request).toContainText("Verified");
});

test("setting up names what is wrong, keeps what was typed, and happens once", async ({ page, newcomer }) => {
  await page.goto(`${newcomer.url}/setup`);
  await hydrated(page);
  await page.getByLabel("Setup token").fill("guessed");
  await page.getByLabel("Organization").fill("Acme Staffing");
  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Create organization" }).click();
  await expectFieldError(
    page.getByLabel("Setup token"),
    "The setup token is not the one that was printed where the server was started",
  );
  await expect(page.getByLabel("Organization")).toHaveValue("Acme Staffing");
  await expect(page.getByLabel("Password")).toHaveValue("");

  await page.goto(newcomer.setupLink);
  await hydrated(page);
  await page.getByLabel("Organization").fill("Acme Staffing");
  await page.getByLabel("Email").fill("no address");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create organization" }).click();
  await hydrated(page);
  await expectFieldError(page.getByLabel("Your name"), "Name is required");
  await expectFieldError(page.getByLabel("Email"), "Please enter a valid email address");
  await expectFieldError(page.getByLabel("Password"), "Password must be at least 12 characters");
  await expect(page.getByLabel("Your name")).toBeFocused();

  await page.getByLabel("Your name").fill("Ada");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Create organization" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Overview");

  await page.goto(newcomer.setupLink);
  await expect(page).toHaveURL(`${newcomer.url}/`);
});
