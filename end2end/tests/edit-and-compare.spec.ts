// One delivery, looked at closely: its payload sent again with changes, and two of its tries side by side.
import { ONE_RETRY } from "../support/api.ts";
import { disclosure, expect, expectFieldError, row, test, unique } from "../support/test.ts";

test("edit and resend: checked while typing, sent as typed, marked as edited", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint({ status: 200 });
  const { id } = await api.createWebhook({ name: unique("Edited"), url: endpoint.url, events: ["job.updated"] });
  await api.publish("job.updated", { title: "Welder", pay: 1 });
  await expect.poll(async () => (await api.deliveriesOf(id))[0]?.status).toBe("delivered");
  const [first] = await api.deliveriesOf(id);
  await goto(`/deliveries/${first?.id}`);
  await disclosure(page, "Edit and resend").click();
  const field = page.getByLabel("Payload", { exact: true });
  await expect(field).toHaveValue('{\n  "title": "Welder",\n  "pay": 1\n}');
  await field.fill('{"title": ');
  await expectFieldError(field, "Not valid JSON: EOF while parsing a value at line 1 column 10");
  await field.fill('{"title": "Welder", "pay": 20.50}');
  await page.getByRole("button", { name: "Send Edited" }).click();
  await expect(page).not.toHaveURL(`/deliveries/${first?.id}`);
  await expect(page.getByText("Edited from")).toBeVisible();
  await expect.poll(() => endpoint.received.length).toBe(2);
  expect(endpoint.received[1]?.body.toString()).toContain('"data":{"title": "Welder", "pay": 20.50}');
  expect((await api.deliveriesOf(id))[0]).toMatchObject({ kind: "edited", replay_of: first?.id });
});

test("two tries side by side: what differs is marked", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint(
    { status: 500, body: '{"code":1,"same":true}', headers: { "x-kind": "bad" } },
    { status: 200, body: '{"code":2,"same":true}' },
  );
  const { id } = await api.createWebhook({
    name: unique("Compared"),
    url: endpoint.url,
    events: ["job.updated"],
    retry_policy: ONE_RETRY,
  });
  await api.publish("job.updated", {});
  await expect.poll(async () => (await api.deliveriesOf(id))[0]?.status).toBe("delivered");
  const [delivery] = await api.deliveriesOf(id);
  await goto(`/deliveries/${delivery?.id}`);
  const region = page.getByRole("region", { name: "Compare attempts" });
  const status = row(region.getByRole("table", { name: "Result and timing" }), "Status");
  await expect(status).toContainText("500 Internal Server Error");
  await expect(status.locator("mark")).toHaveText(["500 Internal Server Error", "200 OK"]);
  await expect(row(region, "x-kind").locator("mark")).toHaveText(["bad", "–"]);
  await expect(row(region, "URL").locator("mark")).toHaveCount(0);
  await expect(region.getByLabel("Response body of attempt 1").locator("mark")).toHaveText(/"code": 1/);
  await region.getByRole("combobox", { name: "With" }).selectOption("#1");
  await expect(page).toHaveURL(`/deliveries/${delivery?.id}?a=1&b=1`);
  await expect(region.locator("mark")).toHaveCount(0);
  await expect(region).toContainText("The same in both");
});
