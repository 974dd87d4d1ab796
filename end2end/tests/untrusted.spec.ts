// What strangers write is only ever text: payloads, answers of receivers, what arrives at the Inspector, names.
import { expect, hydrated, row, test, unique } from "../support/test.ts";

const SCRIPT = `</script><script>document.title="owned"</script><img src=x onerror='document.title="owned"'>`;
const RIGHT_TO_LEFT = "invoice\u202Etxt.exe\u202C";

test.beforeEach(async ({ page }) => {
  page.on("dialog", () => {
    throw new Error("a script of a payload ran");
  });
});

test("a payload with markup, direction marks and odd characters is shown as it is", async ({
  signedIn: page,
  goto,
  api,
  receiver,
}) => {
  const endpoint = receiver.endpoint({ body: `{"echo": ${JSON.stringify(SCRIPT)}}`, headers: { "x-answer": SCRIPT } });
  const name = unique(`<b>Bold</b> & "quoted" ${RIGHT_TO_LEFT}`);
  await api.createWebhook({ name, url: endpoint.url, events: ["job.closed"], description: SCRIPT });
  const data = { [SCRIPT]: SCRIPT, direction: RIGHT_TO_LEFT, nothing: "\u0000", emoji: "👩‍💻", astral: "𝕏" };
  const { id } = await api.publish("job.closed", data);
  await expect.poll(() => endpoint.received.length).toBe(1);
  const sent = String(endpoint.received[0]?.body);

  for (const path of ["/webhooks", "/deliveries", `/events/${id}`]) {
    await goto(path);
    await expect(row(page, name)).toBeVisible();
    await expect(page).not.toHaveTitle("owned");
  }
  await page.getByText("Raw").first().click();
  await expect(page.getByText(sent)).toBeVisible();
  await row(page, name).getByRole("link", { name: "job.closed" }).click();
  await expect(page.getByRole("main")).toContainText(SCRIPT);
  await expect(page.getByRole("main")).toContainText("onerror");
  expect(await page.getByRole("main").getByRole("img").count()).toBe(0);

  // And the same when the server writes the page.
  await page.reload();
  await hydrated(page);
  await expect(page.getByRole("main")).toContainText(SCRIPT);
  await expect(page).toHaveTitle("job.closed · Signalbox");
  expect(await page.evaluate(() => document.querySelectorAll("main script, main img, main [onerror]").length)).toBe(0);
});

test("answers that are no text are shown without breaking anything", async ({ signedIn: page, goto, api, receiver }) => {
  const endpoint = receiver.endpoint(
    { status: 400, body: Buffer.from([0xff, 0xfe, 0x00, 0x3c, 0xc3, 0x28, 0xf0, 0x9f, 0x92]) },
    { status: 200, body: "x".repeat(100_000) },
    { status: 200, body: "" },
    { status: 500, body: "<html><body onload=alert(1)><h1>Error</h1></body></html>", headers: { "content-type": "text/html" } },
  );
  const { id } = await api.createWebhook({ name: unique("Odd answers"), url: endpoint.url, events: ["job.created"] });
  for (const expected of [/\uFFFD/, /Truncated/, /Empty/, /<h1>Error<\/h1>/]) {
    const delivery = await api.test(id);
    await goto(`/webhooks/${id}?tab=test&delivery=${delivery.id}`);
    await expect(page.getByRole("region", { name: "Delivery result" })).toContainText(expected);
  }
});

test("a sample payload that closes a textarea stays inside it", async ({ signedIn: page, goto, api }) => {
  const name = `${unique("tricky").replace(" ", "")}.made`;
  const sample = { text: "</textarea><script>document.title='owned'</script>" };
  await api.call("POST", "/api/v1/event-types", { name, category: "TRICKY", description: SCRIPT, sample });
  const { id } = await api.createWebhook({ name: unique("Tricky"), url: await api.inspectorUrl(), events: [name] });
  await goto(`/webhooks/${id}`);
  await expect(page.getByLabel("Sample Payload")).toHaveValue(/<\/textarea><script>/);
  await page.getByRole("button", { name: "Send Test Webhook" }).click();
  await expect(page.getByRole("region", { name: "Delivery result" })).toContainText("✓ 200 OK");
  await expect(page).not.toHaveTitle("owned");
  await goto("/webhooks/new");
  await expect(page.getByRole("checkbox", { name, exact: true })).toBeVisible();
});

test("what strangers send to the Inspector is only text", async ({ signedIn: page, goto, api }) => {
  const url = await api.inspectorUrl();
  await goto("/inspector");
  await fetch(`${url}/strange`, { method: "POST", body: SCRIPT, headers: { "x-strange": SCRIPT } });
  const request = page.getByRole("region", { name: "Requests" }).getByRole("group").filter({ hasText: "/strange" }).first();
  await request.getByText("/strange").click();
  await expect(request).toContainText(SCRIPT);
  await page.reload();
  await hydrated(page);
  await expect(page).toHaveTitle("Inspector · Signalbox");
});

test("a refused value comes back into its field, not into the page", async ({ page, goto }) => {
  await goto(`/login?email=${encodeURIComponent(`"><script>document.title="owned"</script>`)}&next=${encodeURIComponent(SCRIPT)}`);
  await expect(page.getByLabel("Email")).toHaveValue(/^"><script>/);
  await expect(page).toHaveTitle("Sign in to Signalbox · Signalbox");
});
