// The signature explainer: what a receiver got is pasted, and the reason why it does not verify is read.
import type { Page } from "@playwright/test";
import { AxeBuilder } from "@axe-core/playwright";
import type { Endpoint } from "../support/receiver.ts";
import { expect, expectFieldError, test, unique } from "../support/test.ts";

const findings = (page: Page) => page.getByRole("region", { name: /^The signature/ });

/** The headers of what an endpoint got last, as a log would have them. */
function pasted(endpoint: Endpoint, change: Record<string, string> = {}): string {
  const headers = { ...endpoint.received.at(-1)?.headers, ...change };
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}

async function explain(page: Page, headers: string, body: string, secret = ""): Promise<void> {
  await page.getByLabel("Headers").fill(headers);
  await page.getByLabel("Body").fill(body);
  await page.getByLabel("Secret", { exact: true }).fill(secret);
  await page.getByRole("button", { name: "Explain" }).click();
}

test("a delivery verifies; what receivers do wrong is named", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const { id, secret } = await api.createWebhook({ name: unique("Explained"), url: endpoint.url, events: ["job.created"] });
  await api.test(id, "job.created", { rate: 85, note: "a b" });
  const body = endpoint.received[0]?.body.toString("utf8") ?? "";
  await goto(`/webhooks/${id}?tab=signature`);

  await explain(page, pasted(endpoint), body);
  await expect(findings(page).getByRole("heading")).toHaveText("The signature verifies");
  await expect(findings(page)).toContainText("webhook-signature verifies with the webhook's secret.");
  await expect(findings(page)).toContainText("X-InTime-Signature verifies with the webhook's secret.");
  await expect(findings(page)).toContainText("The timestamp is recent");
  expect(await page.content()).not.toContain(secret);

  await explain(page, pasted(endpoint), body, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  await expect(findings(page).getByRole("heading")).toHaveText("The signature does not verify");
  await expect(findings(page)).toContainText("The webhook signs with another secret than the one that you gave.");

  // Parsed, and written again.
  await explain(page, pasted(endpoint), JSON.stringify(JSON.parse(body), null, 2));
  await expect(findings(page)).toContainText("it was parsed and written again");
  await expect(findings(page)).toContainText(/only its first \d+ bytes? are the same/);

  const seconds = String(endpoint.received[0]?.headers["webhook-timestamp"]);
  await explain(page, pasted(endpoint, { "webhook-timestamp": `${seconds}000` }), body, secret);
  await expect(findings(page)).toContainText("webhook-timestamp is in milliseconds.");
  await expect(findings(page)).toContainText("Seconds and milliseconds are mixed up.");

  await explain(page, "content-type: application/json", body);
  await expect(findings(page)).toContainText("There is no signature among the headers.");
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
});

test("during an overlap the old secret is told from the new one", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint();
  const { id, secret: old } = await api.createWebhook({ name: unique("Rotated"), url: endpoint.url, events: ["job.created"] });
  await api.test(id);
  endpoint.secrets.add(old);
  await api.call("POST", `/api/v1/webhooks/${id}/secret/rotate`, { overlap_hours: 24 });
  await goto(`/webhooks/${id}?tab=signature`);
  await explain(page, pasted(endpoint), endpoint.received[0]?.body.toString("utf8") ?? "");
  await expect(findings(page)).toContainText("verifies with a secret that was replaced.");
  await expect(findings(page)).toContainText("Give the receiver the new one before.");
});

test("without headers it says what to paste", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/status of 422/);
  const { id } = await api.createWebhook({ name: unique("Empty"), url: await api.inspectorUrl(), events: ["job.created"] });
  await goto(`/webhooks/${id}?tab=signature`);
  await explain(page, "nothing of the kind", "{}");
  await expectFieldError(page.getByLabel("Headers"), "Paste the headers, one per line, such as webhook-id: evt_…");
  await expect(page.getByLabel("Headers")).toHaveValue("nothing of the kind");
});
