// The Inspector: what arrives appears at once, with a verdict on its signature, whoever sent it.
import { Webhook } from "standardwebhooks";
import { disclosure, expect, expectFieldError, test, unique } from "../support/test.ts";

test("requests appear as they arrive, signed or not, rightly or wrongly", async ({ signedIn: page, goto, api }) => {
  await goto("/inspector");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  const url = await page.getByRole("textbox", { name: "Receiving URL" }).inputValue();
  expect(url).toBe(await api.inspectorUrl());
  const requests = page.getByRole("region", { name: "Requests" }).getByRole("group");

  await fetch(`${url}/plain?a=1`, { method: "PUT", body: '{"hello":"world"}', headers: { authorization: "Bearer mine" } });
  const plain = requests.filter({ hasText: "/plain?a=1" });
  await expect(plain).toContainText("PUT");
  await expect(plain).toContainText("Not signed");
  await plain.getByText("/plain?a=1").click();
  await expect(plain.getByText('"hello": "world"')).toBeVisible();
  await expect(plain).not.toContainText("Bearer mine"); // credentials are not kept

  const { id, secret } = await api.createWebhook({ name: unique("Signs"), url, events: ["job.created"] });
  const signedWith = (key: string) => {
    const [message, at, body] = ["evt_1", new Date(), "{}"] as const;
    return {
      method: "POST",
      body,
      headers: {
        "webhook-id": message,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": new Webhook(key).sign(message, at, body),
      },
    };
  };
  await fetch(`${url}/right`, signedWith(secret));
  const right = requests.filter({ hasText: "/right" });
  await expect(right).toContainText("Verified");
  await right.getByText("/right").click();
  await right.getByRole("link", { name: id }).click();
  await expect(page).toHaveURL(`/webhooks/${id}`);
  await page.goBack();

  await fetch(`${url}/wrong`, signedWith("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
  await expect(requests.filter({ hasText: "/wrong" })).toContainText("Invalid signature");
});

test("a delivery to the Inspector is verified, and clearing forgets everything", async ({ signedIn: page, goto, api }) => {
  const { id } = await api.createWebhook({
    name: unique("To be cleared"),
    url: await api.inspectorUrl(),
    events: ["submission.updated"],
  });
  await api.test(id);
  await goto("/inspector");
  const requests = page.getByRole("region", { name: "Requests" }).getByRole("group");
  const arrived = requests.filter({ hasText: "submission.updated" });
  await expect(arrived).toContainText("Verified");
  await disclosure(page, "Clear").click();
  await page.getByRole("button", { name: "Yes, clear" }).click();
  await expect(page.getByText("Nothing was received yet.")).toBeVisible();
  await page.reload();
  await expect(page.getByText("Nothing was received yet.")).toBeVisible();
});

test("it answers what was chosen, to rehearse failures", async ({ signedIn: page, goto, api, faults }) => {
  faults.expect(/status of 422/);
  const url = await api.inspectorUrl();
  await goto("/inspector");
  await disclosure(page, "Respond with").click();
  await page.getByLabel("Delay").fill("40000");
  await page.getByRole("button", { name: "Save" }).click();
  await expectFieldError(page.getByLabel("Delay"), "Delay must not be longer than 30,000 ms");
  await page.getByLabel("Status").fill("503");
  await page.getByLabel("Delay").fill("50");
  await page.getByLabel("Retry-After").fill("30");
  await page.getByRole("textbox", { name: "Body" }).fill("come back later");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Every request is answered with 503 Service Unavailable after 50 ms, with Retry-After: 30.")).toBeVisible();
  const answer = await fetch(url, { method: "POST", body: "{}" });
  expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).toEqual([503, "30", "come back later"]);
  await page.reload();
  await expect(page.getByRole("textbox", { name: "Body" })).toHaveValue("come back later");
  await page.getByRole("button", { name: "Respond as usual" }).click();
  await expect(page.getByText("Every request is answered with")).toBeHidden();
  expect((await fetch(url, { method: "POST", body: "{}" })).status).toBe(200);
});
