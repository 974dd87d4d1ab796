// The pictures of the README: a delivery that needed a second try, in light and in dark. Run by `npm run screenshots`.
import { mkdir } from "node:fs/promises";
import { ONE_RETRY } from "../support/api.ts";
import { expect, test } from "../support/test.ts";

const FOLDER = new URL("../../docs/images/", import.meta.url).pathname;
/** As in the requirements' wireframes. */
const JOB = { job_id: "JOB-2024-1234", title: "Senior Java Developer", status: "active", bill_rate: 85 };

test("the debugger", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint(
    { status: 503, body: "try again later", delayMs: 60 },
    { body: '{"status":"received","id":"zap_123"}', headers: { "content-type": "application/json" }, delayMs: 240 },
  );
  const { id } = await api.createWebhook({
    name: "Job Created - Zapier",
    url: endpoint.url,
    events: ["job.created", "job.updated"],
    retry_policy: ONE_RETRY,
  });
  await api.publish("job.created", JOB);
  await expect.poll(async () => (await api.deliveriesOf(id))[0]?.status).toBe("delivered");
  const [delivery] = await api.deliveriesOf(id);

  await mkdir(FOLDER, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await goto(`/deliveries/${delivery?.id}`);
    await expect(page.getByText("Live", { exact: true })).toBeVisible();
    await expect(page.getByText("zap_123").first()).toBeVisible();
    await page.screenshot({ path: `${FOLDER}debugger-${colorScheme}.png`, animations: "disabled", caret: "hide" });
  }
});
