// How the key screens look, compared with the pictures in `looks/`, in light and in dark. `npm run looks` renews the pictures
// of what looks different on purpose; whoever does it looks at them. What is different each time is made the same first.
import type { Locator, Page } from "@playwright/test";
import { Api, ONE_RETRY } from "../support/api.ts";
import { OWNER } from "../support/binary.ts";
import { disclosure, expect, test as base } from "../support/test.ts";

/** What the pictures show. */
interface Scene {
  webhook: string;
  integration: string;
}

// A fixture of a worker that only this file has: Playwright gives it a worker of its own, and so a server of its own, whose
// figures no other test changes.
const test = base.extend<object, { scene: Scene }>({
  scene: [async ({ server }, use) => use(await stage(new Api(server.url, OWNER.apiKey))), { scope: "worker" }],
});

/** One thing after the other, so that lists have one order. */
async function stage(api: Api): Promise<Scene> {
  const url = await api.inspectorUrl();
  const draft = { name: "Job Created - Zapier", url, events: ["job.created", "job.updated"], description: "Feeds the job board." };
  const { id: webhook } = await api.createWebhook(draft);
  const { id: broken } = await api.createWebhook({
    name: "Approvals - CRM",
    url: "http://127.0.0.1:9/hooks/approvals",
    events: ["approval.delegated"],
    retry_policy: ONE_RETRY,
  });
  const ended = async (webhook: string, status: string) =>
    expect.poll(async () => (await api.deliveriesOf(webhook)).every((delivery) => delivery.status === status)).toBe(true);
  await api.test(webhook, "job.created");
  for (const job_id of ["JOB-1", "JOB-2", "JOB-3"]) {
    await api.publish("job.created", { job_id });
    await ended(webhook, "delivered");
  }
  await api.publish("approval.delegated", { id: "APR-1" });
  await ended(broken, "dead_letter");
  const alerts = async () => (await api.call<{ data: unknown[] }>("GET", "/api/v1/alerts")).data.length;
  await expect.poll(alerts, { timeout: 30_000 }).toBe(1);
  const { id: integration } = await api.integration("Applicant API", new URL(url).origin, "/livez");
  const { id: outage } = await api.integration("Background checks", "http://127.0.0.1:9", "/");
  for (const id of [integration, outage, outage, outage]) await api.call("POST", `/api/v1/integrations/${id}/health-check`);
  await expect.poll(alerts, { timeout: 30_000 }).toBe(2);
  return { webhook, integration };
}

/** Words that are different each time, and what stands there instead: as long as they are, so that nothing moves. */
const VARYING: [string, string][] = [
  [String.raw`http://127\.0\.0\.1:(?!9/)\d+`, "http://127.0.0.1:8080"],
  [String.raw`/inspect/[\w-]+`, "/inspect/0123456789abcdef"],
  [String.raw`\b([a-z]{3})_[0-9a-z]{20,}`, "$1_0123456789abcdefghjkmnpqrs"],
  [String.raw`\b\d+ ms|\b\d+\.\d+ s`, "12 ms"],
  [String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`, "2026-01-01 12:00:00 UTC"],
  [String.raw`noticed \d+ times?`, "noticed 2 times"],
];

async function settle(page: Page): Promise<void> {
  await page.evaluate((varying) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      for (const [pattern, instead] of varying) text.nodeValue = text.nodeValue?.replace(new RegExp(pattern, "g"), instead) ?? "";
    }
  }, VARYING);
}

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

interface Look {
  name: string;
  path: string | ((scene: Scene) => string);
  /** Also on a small screen. */
  phone?: true;
  /** What is opened or scrolled to first. */
  first?: (page: Page) => Promise<void>;
  /** What is different each time, besides charts and words. */
  varies?: (page: Page) => Locator[];
}

const LOOKS: Look[] = [
  { name: "sign-in", path: "/login", phone: true },
  { name: "overview", path: "/", phone: true },
  { name: "webhooks", path: "/webhooks", phone: true },
  { name: "new-webhook", path: "/webhooks/new" },
  { name: "webhook", path: ({ webhook }) => `/webhooks/${webhook}` },
  { name: "deliveries", path: "/deliveries", phone: true },
  { name: "dead-letters", path: "/dead-letters" },
  { name: "retry-policy", path: "/retry-policy" },
  { name: "integrations", path: "/integrations" },
  {
    name: "integration",
    path: ({ integration }) => `/integrations/${integration}`,
    varies: (page) => [page.getByRole("region", { name: "Metrics" }).getByText(/^Checks\d/)], // one more when its time has come
  },
  { name: "alerts", path: "/alerts" },
  {
    name: "keys",
    path: "/settings",
    first: async (page) => {
      const keys = disclosure(page, "Change single keys");
      await keys.click();
      await keys.evaluate((summary) => summary.scrollIntoView());
    },
  },
];

for (const { name, path, phone, first, varies } of LOOKS) {
  for (const [picture, viewport] of [[name, DESKTOP], ...(phone ? [[`${name}-phone`, PHONE] as const] : [])] as const) {
    test(picture, async ({ page, session, scene, goto }) => {
      await page.setViewportSize(viewport);
      if (path !== "/login") await page.context().addCookies(session.cookies);
      // By the clock of the browser all that happened was an hour ago.
      await page.clock.setFixedTime(Date.now() + 90 * 60_000);
      await goto(typeof path === "string" ? path : path(scene));
      await first?.(page);
      await settle(page);
      // The sidebar is looked at once; elsewhere it would make the pictures a third larger.
      const sidebar = name === "overview" ? [] : [page.getByRole("complementary", { name: "Sidebar" })];
      const mask = [page.getByRole("img"), ...sidebar, ...(varies?.(page) ?? [])];
      await expect(page).toHaveScreenshot(`${picture}.png`, { mask, maskColor: "#888" });
    });
  }
}
