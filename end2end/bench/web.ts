// The budgets of the screens, measured in a browser as slow as a small laptop on a line as slow as a phone's, against a server
// that runs already: SIGNALBOX_URL, SIGNALBOX_EMAIL, SIGNALBOX_PASSWORD, SIGNALBOX_API_KEY. The server must let webhooks reach
// 127.0.0.1, where what the live tail sends is received. `npm run bench` prints one JSON document as the last line of stdout, and
// the same as a table on stderr. It refuses to judge: what is over its budget is marked, and the exit code is 0.
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from "@playwright/test";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import config from "../playwright.config.ts";
import { Api, type Webhook } from "../support/api.ts";
import { hydrated, signIn } from "../support/test.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const TAIL_SECONDS = Number(process.env.BENCH_TAIL_SECONDS ?? 60);
/** Before the heap is measured first: what a page keeps once is not what grows. */
const WARM_SECONDS = 10;
const TAIL_PER_SECOND = 100;
const EVENT = "job.updated";

/** The most that each figure may be; figures without one are for whoever looks for the reason. */
const BUDGETS: Record<string, number> = {
  wasm_bytes: 300_000,
  css_bytes: 20_000,
  js_bytes: 15_000,
  lcp_ms: 800,
  hydrated_ms: 1_500,
  tbt_ms: 150,
  cls: 0.02,
  inp_ms: 80,
  navigation_ms: 100,
  longest_task_ms: 50,
  // "Flat", with room for what a collection leaves behind.
  heap_growth_bytes: 500_000,
  wasm_memory_growth_bytes: 500_000,
};

type Cookies = Awaited<ReturnType<BrowserContext["cookies"]>>;

interface Measured {
  value: number;
  budget?: number;
  within?: boolean;
}

/** What a page noted about itself: see `observe`. */
interface Notes {
  lcp: number;
  cls: number;
  tasks: { start: number; duration: number }[];
  events: { name: string; duration: number }[];
  /** Of the program, which no figure of the JavaScript heap counts. */
  memory?: WebAssembly.Memory;
}

declare global {
  interface Window {
    notes: Notes;
  }
}

interface LayoutShift extends PerformanceEntry {
  value: number;
  hadRecentInput: boolean;
}

interface EventTiming extends PerformanceEntry {
  interactionId: number;
}

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set`);
  return value;
}

const url = setting("SIGNALBOX_URL").replace(/\/$/, "");
const api = new Api(url, setting("SIGNALBOX_API_KEY"));

/** Runs in the page before anything of its own. */
function observe(): void {
  const notes: Notes = (window.notes = { lcp: 0, cls: 0, tasks: [], events: [] });
  const on = <T extends PerformanceEntry>(type: string, note: (entry: T) => void, options: object = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => note(entry as T))).observe({ type, buffered: true, ...options });
  on("largest-contentful-paint", ({ startTime }) => (notes.lcp = startTime));
  on<LayoutShift>("layout-shift", ({ value, hadRecentInput }) => (notes.cls += hadRecentInput ? 0 : value));
  on("longtask", ({ startTime: start, duration }) => notes.tasks.push({ start, duration }));
  // Only what belongs to an interaction counts: the pointer moves as well.
  on<EventTiming>("event", ({ name, duration, interactionId }) => interactionId > 0 && notes.events.push({ name, duration }), {
    durationThreshold: 16,
  });
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const made = await instantiate(source, imports);
    const { memory } = made.instance.exports;
    if (memory instanceof WebAssembly.Memory) notes.memory = memory;
    return made;
  };
}

/** A page of a context of its own, signed in, with nothing in its cache, that is slow in every respect. */
async function slowPage(browser: Browser, cookies: Cookies): Promise<{ page: Page; cdp: CDPSession }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, baseURL: url });
  await context.addCookies(cookies);
  const page = await context.newPage();
  await page.addInitScript(observe);
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Performance.enable");
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  const bytesPerSecond = 10_000_000 / 8;
  await cdp.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 40,
    downloadThroughput: bytesPerSecond,
    uploadThroughput: bytesPerSecond,
  });
  return { page, cdp };
}

/** The next frame after what happens now was painted. */
function painted(page: Page): Promise<void> {
  return page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => setTimeout(done))));
}

/** Resolves when the browser has nothing to do: pages fetch each other's code when nobody waits. A slowed Chromium that has
 * nothing at all to do now and then forgets to say so, hence the limit. */
function idle(page: Page): Promise<void> {
  return page.evaluate(() => new Promise<void>((done) => requestIdleCallback(() => done(), { timeout: 5_000 })));
}

/** The first visit of somebody who was never here. */
async function firstVisit(browser: Browser, cookies: Cookies, path: string): Promise<Record<string, number>> {
  const { page, cdp } = await slowPage(browser, cookies);
  const files = new Map<string, { type: string; asked: number; bytes: number }>();
  cdp.on("Network.requestWillBeSent", ({ requestId, wallTime }) => {
    files.set(requestId, { type: "", asked: wallTime * 1_000, bytes: 0 });
  });
  cdp.on("Network.responseReceived", ({ requestId, response }) => {
    Object.assign(files.get(requestId) ?? {}, { type: response.mimeType });
  });
  cdp.on("Network.loadingFinished", ({ requestId, encodedDataLength: bytes }) => {
    Object.assign(files.get(requestId) ?? {}, { bytes });
  });
  await page.goto(path);
  await hydrated(page);
  await page.waitForLoadState("load");
  await idle(page);
  await painted(page);
  const found = await page.evaluate(() => ({
    notes: window.notes,
    origin: performance.timeOrigin,
    first: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    hydrated: performance.getEntriesByName("hydrated")[0]?.startTime ?? 0,
  }));
  await page.context().close();
  // What is asked for once the page is live is the code of other pages.
  const bytes = (kind: RegExp) => {
    const wanted = [...files.values()].filter(({ type, asked }) => kind.test(type) && asked < found.origin + found.hydrated);
    return wanted.reduce((sum, file) => sum + file.bytes, 0);
  };
  // Of each long task, what is between the first paint and the live page, and over 50 ms.
  const blocking = found.notes.tasks.map(({ start, duration }) => {
    return Math.max(0, Math.min(start + duration, found.hydrated) - Math.max(start, found.first) - 50);
  });
  return {
    wasm_bytes: bytes(/wasm/),
    css_bytes: bytes(/css/),
    js_bytes: bytes(/javascript/),
    html_bytes: bytes(/html/),
    first_paint_ms: found.first,
    lcp_ms: found.notes.lcp,
    hydrated_ms: found.hydrated,
    tbt_ms: blocking.reduce((sum, ms) => sum + ms, 0),
    cls: found.notes.cls,
  };
}

interface Interactions {
  inp_ms: number;
  /** Whether there was a dead letter to choose. */
  rows_chosen: number;
  worst: string;
}

/** The worst of what somebody does: opens the palette, types, closes it, chooses a row. */
async function interactions(browser: Browser, cookies: Cookies): Promise<Interactions> {
  const { page } = await slowPage(browser, cookies);
  await page.goto("/dead-letters");
  await hydrated(page);
  await idle(page);
  const palette = page.getByRole("dialog", { name: "Command palette" });
  await page.keyboard.press("Control+k");
  await palette.getByRole("option").first().waitFor();
  for (const key of "deliv") await page.keyboard.press(key);
  await painted(page);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Escape");
  await palette.waitFor({ state: "hidden" });
  const row = page.getByRole("checkbox", { name: /^Select dlv_/ }).first();
  const rows = (await row.isVisible()) ? [row, row] : [];
  for (const row of rows) await row.click();
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.keyboard.press("Escape");
  // An event is told with the frame after it.
  await painted(page);
  await idle(page);
  const events = await page.evaluate(() => window.notes.events);
  await page.context().close();
  const worst = events.sort((one, other) => other.duration - one.duration)[0];
  return { inp_ms: worst?.duration ?? 16, rows_chosen: rows.length, worst: worst?.name ?? "none took 16 ms" };
}

/** From the click on a link to the next page's heading, painted: the first time, a few seconds after a visit, and again. */
async function navigations(browser: Browser, cookies: Cookies): Promise<Record<string, number>> {
  const { page } = await slowPage(browser, cookies);
  await page.goto("/");
  await hydrated(page);
  // The code of other pages comes when nobody waits: it is here when no more of it has come for a second.
  await page.evaluate(
    () =>
      new Promise<void>((done) => {
        const parts = () => performance.getEntriesByType("resource").filter(({ name }) => /\/pkg\/(page|part|shared)_/.test(name)).length;
        let [before, same] = [parts(), 0];
        const timer = setInterval(() => {
          const now = parts();
          same = now === before ? same + 1 : 0;
          before = now;
          if (same < 10 || now === 0) return;
          clearInterval(timer);
          done();
        }, 100);
      }),
  );
  await idle(page);
  const took: Record<string, number> = {};
  const places = [
    ["Webhooks", "Webhooks"],
    ["Deliveries", "Deliveries"],
    ["Dead letters", "Dead Letter Queue"],
    ["Integrations", "Integrations"],
    ["Overview", "Overview"],
  ] as const;
  for (const [link, heading] of [...places, ...places]) {
    const target = await page.getByRole("link", { name: link, exact: true }).first().elementHandle();
    took[link in took ? `${link} again` : link] = await page.evaluate(
      ([target, heading]) =>
        new Promise<number>((done) => {
          const began = performance.now();
          const look = () => {
            if (document.querySelector("h1")?.textContent?.trim() !== heading) return void requestAnimationFrame(look);
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
          };
          (target as HTMLElement).click();
          look();
        }),
      [target, heading] as const,
    );
    await idle(page);
  }
  await page.context().close();
  return took;
}

/** A list that grows by a hundred rows a second, while somebody watches. */
async function liveTail(browser: Browser, cookies: Cookies): Promise<Record<string, number>> {
  const receiver = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(200).end());
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const webhook = await api.createWebhook({
    name: "Live tail of the bench",
    url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
    events: [EVENT],
  });
  const { page, cdp } = await slowPage(browser, cookies);
  try {
    await page.goto("/deliveries");
    await hydrated(page);
    await page.getByText("Live", { exact: true }).waitFor();
    const heap = async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      const { metrics } = await cdp.send("Performance.getMetrics");
      const wasm = await page.evaluate(() => window.notes.memory?.buffer.byteLength ?? 0);
      return { js: metrics.find(({ name }) => name === "JSHeapUsedSize")?.value ?? 0, wasm };
    };
    const began = performance.now();
    let [sent, failed, watchedFrom] = [0, 0, 0];
    let before: Awaited<ReturnType<typeof heap>> | undefined;
    const under: Promise<unknown>[] = [];
    for (;;) {
      const seconds = (performance.now() - began) / 1_000;
      if (seconds >= TAIL_SECONDS + WARM_SECONDS) break;
      if (!before && seconds >= WARM_SECONDS) {
        before = await heap();
        // Collecting garbage is a long task of this script's own making.
        watchedFrom = await page.evaluate(() => performance.now());
      }
      // As many as are due by now, at moments of their own.
      for (; sent < seconds * TAIL_PER_SECOND; sent += 1) under.push(api.publish(EVENT, { sent }).catch(() => (failed += 1)));
      await new Promise((done) => setTimeout(done, 10));
    }
    await Promise.all(under);
    const watched = await page.evaluate((from) => window.notes.tasks.filter(({ start }) => start >= from), watchedFrom);
    const after = await heap();
    if (!before || before.wasm === 0) throw new Error("There was no memory to measure");
    const pill = await page.getByRole("button", { name: /^\d+\+? new$/ }).count();
    if (pill === 0) throw new Error("The list did not notice what was sent");
    return {
      seconds: TAIL_SECONDS,
      sent,
      failed,
      longest_task_ms: Math.max(0, ...watched.map(({ duration }) => duration)),
      long_tasks: watched.length,
      heap_bytes: after.js,
      heap_growth_bytes: after.js - before.js,
      wasm_memory_bytes: after.wasm,
      wasm_memory_growth_bytes: after.wasm - before.wasm,
    };
  } finally {
    await page.context().close();
    await api.deleteWebhook(webhook.id);
    receiver.closeAllConnections();
    receiver.close();
  }
}

function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

/** The median of each figure. */
function medians(rounds: Record<string, number>[]): Record<string, number> {
  return Object.fromEntries(Object.keys(rounds[0] ?? {}).map((name) => [name, median(rounds.map((round) => round[name] ?? 0))]));
}

function judged(figures: Record<string, number>): Record<string, Measured> {
  const judge = ([name, value]: [string, number]): [string, Measured] => {
    const budget = BUDGETS[name];
    const rounded = Math.round(value * 1_000) / 1_000;
    return [name, budget === undefined ? { value: rounded } : { value: rounded, budget, within: value <= budget }];
  };
  return Object.fromEntries(Object.entries(figures).map(judge));
}

async function rounds<T>(measure: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let round = 0; round < ROUNDS; round += 1) all.push(await measure());
  return all;
}

const { data } = await api.call<{ data: Webhook[] }>("GET", "/api/v1/webhooks?limit=1");
const [first] = data;
if (!first) throw new Error("The server has no webhook to show");
const browser = await chromium.launch(config.use?.launchOptions);
try {
  const context = await browser.newContext({ baseURL: url });
  const page = await context.newPage();
  await page.goto("/login");
  await hydrated(page);
  await signIn(page, setting("SIGNALBOX_EMAIL"), setting("SIGNALBOX_PASSWORD"));
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const cookies = await context.cookies();
  await context.close();

  const results: Record<string, Record<string, Measured>> = {};
  const report = (name: string, figures: Record<string, number>) => {
    results[name] = judged(figures);
    for (const [figure, { value, budget, within }] of Object.entries(results[name])) {
      const aim = budget === undefined ? "" : `${within ? "✓" : "aim"} ${budget}`;
      console.error(`| ${name} | ${figure} | ${value} | ${aim} |`);
    }
  };
  console.error("| what | figure | median | budget |\n|---|---|---|---|");
  for (const path of ["/login", "/", "/webhooks", `/webhooks/${first.id}`, "/deliveries", "/dead-letters", "/integrations"]) {
    const cookiesOf = path === "/login" ? [] : cookies;
    report(path.replace(first.id, "{id}"), medians(await rounds(() => firstVisit(browser, cookiesOf, path))));
  }
  const acts = await rounds(() => interactions(browser, cookies));
  report("interactions", medians(acts.map(({ inp_ms, rows_chosen }) => ({ inp_ms, rows_chosen }))));
  for (const [name, ms] of Object.entries(medians(await rounds(() => navigations(browser, cookies))))) {
    report(`to ${name}`, { navigation_ms: ms });
  }
  report("live tail", await liveTail(browser, cookies));
  const conditions = { cpu_slowdown: 4, megabits_per_s: 10, latency_ms: 40, rounds: ROUNDS, browser: browser.version() };
  console.log(JSON.stringify({ conditions, worst_interactions: acts.map(({ worst }) => worst), results }));
} finally {
  await browser.close();
}
