// The pictures of the README: the Webhook Debugger in light and in dark. Run by `npm run screenshots`.
import { mkdir } from "node:fs/promises";
import { ONE_RETRY } from "../support/api.ts";
import { expect, test } from "../support/test.ts";

const FOLDER = new URL("../../docs/images/", import.meta.url).pathname;
/** As in the requirements' wireframes. */
const JOB = {
  job_id: "JOB-2024-1234",
  title: "Senior Java Developer",
  status: "active",
  bill_rate: 85.0,
};

test("the debugger", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint(
    { status: 200, body: '{"status":"received","id":"zap_121"}', delayMs: 90 },
    { status: 503, body: "try again later", delayMs: 60 },
    { status: 200, body: '{"status":"received","id":"zap_122"}', delayMs: 140 },
    { status: 200, body: '{"status":"received","id":"zap_123"}', delayMs: 235, headers: { "content-type": "application/json" } },
  );
  const { id } = await api.createWebhook({
    name: "Job Created - Zapier",
    url: endpoint.url,
    events: ["job.created", "job.updated"],
    retry_policy: ONE_RETRY,
  });
  await api.publish("job.created", JOB);
  await expect.poll(() => endpoint.received.length).toBe(1);
  await api.publish("job.updated", { ...JOB, bill_rate: 90.0 });
  await expect.poll(async () => (await api.deliveriesOf(id)).filter(({ status }) => status === "delivered").length).toBe(2);
  const { id: shown } = await api.test(id, "job.created", JOB);

  await mkdir(FOLDER, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await goto(`/webhooks/${id}?tab=test&delivery=${shown}`);
    const result = page.getByRole("region", { name: "Delivery result" });
    await expect(result).toContainText("✓ 200 OK");
    await expect(page.getByText("Live", { exact: true })).toBeVisible();
    await result.scrollIntoViewIfNeeded();
    await page.mouse.move(0, 0);
    await page.screenshot({ path: `${FOLDER}debugger-${colorScheme}.png`, animations: "disabled", caret: "hide" });
  }
});
