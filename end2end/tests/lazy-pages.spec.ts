// The code of a page comes with the page (ADR 0004): the others are fetched when nobody waits, and a tab whose server was upgraded
// says so instead of showing nothing.
import { expect, hydrated, test } from "../support/test.ts";

const heading = { level: 1 } as const;

test("a first visit loads its own page; the others follow once it is live", async ({ page, goto }) => {
  await goto("/login");
  /** The pages whose code was asked for, before the page was live or at any time. */
  const asked = (before: boolean) =>
    page.evaluate((before) => {
      const live = performance.getEntriesByName("hydrated")[0]?.startTime ?? 0;
      const found = performance.getEntriesByType("resource").filter(({ startTime }) => !before || startTime < live);
      const parts = found.map(({ name }) => /\/pkg\/page_([a-z_]+)\./.exec(name)?.[1] ?? "");
      return [...new Set(parts)].filter((part) => part !== "").sort();
    }, before);
  await expect.poll(() => asked(false)).toEqual(expect.arrayContaining(["deliveries", "integration", "overview", "webhook"]));
  expect(await asked(true)).toEqual(["login"]);
});

test("a page whose code is gone says so, and a reload brings it", async ({ signedIn: page, goto, faults }) => {
  faults.expect(/status of 404/);
  faults.expect(/console: TypeError/); // what compiling an answer of 404 comes to
  await page.route(/\/pkg\/page_deliveries\./, (route) => route.fulfill({ status: 404 }));
  await goto("/");
  await page.getByRole("link", { name: "Deliveries", exact: true }).click();
  await expect(page.getByRole("heading", heading)).toHaveText("This page could not be loaded");
  await page.unroute(/\/pkg\/page_deliveries\./);
  await page.getByRole("link", { name: "Reload" }).click();
  await expect(page).toHaveURL("/deliveries");
  await hydrated(page);
  await expect(page.getByRole("heading", heading)).toHaveText("Deliveries");
});
