// Everything by keys: the palette, going, searching, rows, pages' own controls, and that keys belong to whoever types.
import type { Page } from "@playwright/test";
import { expect, hydrated, test, unique } from "../support/test.ts";

const heading = (page: Page) => page.getByRole("heading", { level: 1 });
const palette = (page: Page) => page.getByRole("dialog", { name: "Command palette" });
const help = (page: Page) => page.getByRole("dialog", { name: "Keyboard shortcuts" });

test("the palette finds pages, webhooks and pasted ids", async ({ signedIn: page, goto, api }) => {
  const name = unique("Palette target");
  const { id } = await api.createWebhook({ name, url: await api.inspectorUrl(), events: ["job.created"] });
  const delivery = await api.test(id);
  await goto("/");
  await page.keyboard.press("Control+k");
  const input = palette(page).getByRole("combobox");
  await expect(input).toBeFocused();
  const options = palette(page).getByRole("option");

  await input.fill("inspector");
  await expect(options).toHaveCount(1);
  await page.keyboard.press("Enter");
  await expect(palette(page)).toBeHidden();
  await expect(heading(page)).toHaveText("Inspector");

  await page.keyboard.press("Control+k");
  await expect(input).toHaveValue("");
  await input.fill(name);
  await expect(options).toHaveCount(1);
  await options.click();
  await expect(heading(page)).toHaveText(name);

  for (const [pasted, path] of [
    [delivery.id, `/deliveries/${delivery.id}`],
    [delivery.event_id, `/events/${delivery.event_id}`],
    [id, `/webhooks/${id}`],
  ] as const) {
    await page.keyboard.press("Control+k");
    await input.fill(` ${pasted}`);
    await page.keyboard.press("Enter");
    await expect(palette(page)).toBeHidden();
    await expect(page).toHaveURL(path);
  }

  await page.keyboard.press("Control+k");
  await input.fill("nothing is called like this");
  await expect(palette(page).getByText("Nothing found.")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(palette(page)).toBeHidden();
});

test("arrows choose in the palette, and the choice is announced", async ({ signedIn: page, goto }) => {
  await goto("/");
  await page.keyboard.press("Control+k");
  const options = palette(page).getByRole("option");
  await expect(options.first()).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("ArrowDown");
  await expect(options.nth(1)).toHaveAttribute("aria-selected", "true");
  const chosen = await options.nth(1).getAttribute("id");
  await expect(palette(page).getByRole("combobox")).toHaveAttribute("aria-activedescendant", chosen ?? "");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowUp");
  await expect(options.last()).toHaveAttribute("aria-selected", "true");
});

test("g and a letter go to every page, and the heading is focused", async ({ signedIn: page, goto }) => {
  await goto("/");
  for (const [key, title] of [
    ["w", "Webhooks"],
    ["e", "Events"],
    ["d", "Deliveries"],
    ["v", "Inspector"],
    ["i", "Integrations"],
    ["a", "API"],
    ["s", "Settings"],
    ["o", "Overview"],
  ] as const) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await expect(heading(page)).toHaveText(title);
    await expect(heading(page)).toBeFocused();
  }
});

test("? lists the keys, Escape closes the list", async ({ signedIn: page, goto }) => {
  await goto("/webhooks");
  await page.keyboard.press("?");
  await expect(help(page)).toBeVisible();
  await expect(help(page).getByText("Command palette")).toBeVisible();
  // Behind an open dialog nothing moves.
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await expect(heading(page)).toHaveText("Webhooks");
  await page.keyboard.press("Escape");
  await expect(help(page)).toBeHidden();
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await expect(heading(page)).toHaveText("Events");
});

test("/ searches, j and k walk through rows, Enter opens", async ({ signedIn: page, goto, api }) => {
  const url = await api.inspectorUrl();
  const [older, newer] = [unique("Walk older"), unique("Walk newer")];
  await api.createWebhook({ name: older, url, events: ["job.created"] });
  await api.createWebhook({ name: newer, url, events: ["job.created"] });
  await goto("/webhooks");
  await page.keyboard.press("/");
  const search = page.getByRole("searchbox", { name: "Search webhooks" });
  await expect(search).toBeFocused();
  await page.keyboard.type("walk");
  await expect(page.getByRole("row")).toHaveCount(3);
  await page.keyboard.type(" gj?/n"); // letters, while somebody types
  await expect(search).toHaveValue("walk gj?/n");
  await expect(help(page)).toBeHidden();
  await search.fill("walk");
  await heading(page).focus();

  const link = (name: string) => page.getByRole("link", { name, exact: true });
  await page.keyboard.press("j");
  await expect(link(newer)).toBeFocused();
  await page.keyboard.press("j");
  await expect(link(older)).toBeFocused();
  await page.keyboard.press("j");
  await expect(link(older)).toBeFocused(); // the last one
  await page.keyboard.press("k");
  await expect(link(newer)).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(link(older)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(heading(page)).toHaveText(older);

  await goto("/events");
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Id" })).toBeFocused();
});

test("pages' own keys: n, t, l, e and r", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({ name: unique("By keys"), url: await api.inspectorUrl(), events: ["job.created"] });
  const delivery = await api.test(id);
  await goto("/webhooks");
  await page.keyboard.press("n");
  await expect(page).toHaveURL("/webhooks/new");
  await goto(`/webhooks/${id}`);
  for (const [key, tab] of [
    ["l", "deliveries"],
    ["e", "settings"],
    ["t", "test"],
  ] as const) {
    await page.keyboard.press(key);
    await expect(page).toHaveURL(`/webhooks/${id}?tab=${tab}`);
  }
  await goto(`/deliveries/${delivery.id}`);
  await page.keyboard.press("r");
  await expect(page.getByRole("link", { name: delivery.id })).toBeVisible(); // Replay of …
});

test("single keys can be switched off; Ctrl K stays", async ({ signedIn: page, goto }) => {
  await goto("/settings");
  await page.getByRole("combobox", { name: "Keyboard shortcuts" }).selectOption("Only Ctrl K");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByRole("status").filter({ hasText: "Saved" })).toBeVisible();
  await heading(page).focus();
  for (const again of [false, true]) {
    if (again) {
      await page.reload();
      await hydrated(page);
    }
    await page.keyboard.press("?");
    await page.keyboard.press("g");
    await page.keyboard.press("w");
    await page.keyboard.press("Control+k");
    await expect(palette(page)).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(palette(page)).toBeHidden();
    await expect(help(page)).toBeHidden();
    await expect(heading(page)).toHaveText("Settings");
  }
});

test("the first Tab offers to skip to the content", async ({ signedIn: page, goto }) => {
  await goto("/webhooks");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
});

test("keys can be changed, and everything that names them follows", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 422/);
  await goto("/settings");
  await page.getByText("Change single keys").click();
  await page.getByLabel("New", { exact: true }).fill("e");
  await page.getByLabel("g Go to Webhooks").fill("b");
  await page.getByRole("button", { name: "Save keys" }).click();
  await expect(page.getByText("e is New already")).toBeVisible();
  await page.getByLabel("New", { exact: true }).fill("y");
  await page.getByRole("button", { name: "Save keys" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-keymap", "gw-b.n-y");
  await page.getByRole("heading", { level: 1 }).click();

  await page.keyboard.press("g");
  await page.keyboard.press("b");
  await expect(heading(page)).toHaveText("Webhooks");
  // The one at the top: the empty list has another.
  await expect(page.getByRole("link", { name: "New Webhook" }).first()).toHaveAttribute("aria-keyshortcuts", "y");
  await page.keyboard.press("n");
  await page.keyboard.press("?");
  await expect(help(page).locator("div", { hasText: /^yNew$/ }).first()).toBeVisible();
  await expect(help(page).locator("div", { hasText: /^gbWebhooks$/ }).first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL("/webhooks");
  await page.keyboard.press("y");
  await expect(heading(page)).toHaveText("Configure Webhook");

  // At the first paint too, and after a reload.
  const response = await page.request.get("/webhooks");
  expect(await response.text()).toMatch(/<html[^>]*data-keymap="gw-b\.n-y"/);
});
