// A real HTTP server that takes deliveries. What it answers is scripted per endpoint, and whatever it got is verified at the
// end of the test: with the published Standard Webhooks library, and with a plain HMAC of the body for `X-InTime-Signature`.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import type { Api } from "./api.ts";

export interface Answer {
  /** 200 when not given. */
  status?: number;
  body?: string | Buffer;
  headers?: Record<string, string>;
  /** How long the receiver thinks, in milliseconds. */
  delayMs?: number;
  /** The answer comes only when this is settled. */
  until?: Promise<unknown>;
}

/** Holds an answer back (`until: opened`) until the test calls `open`. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** A delivery as it arrived. */
export interface Received {
  method: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The body as JSON. */
  json: { id: string; event: string; timestamp: string; data: unknown };
}

/** An address of its own, with its own script. */
export class Endpoint {
  readonly url: string;
  readonly received: Received[] = [];
  /** Secrets that sign what arrives here, beyond those that its webhooks have at the end of the test. */
  readonly secrets = new Set<string>();
  #script: Answer[] = [];

  constructor(url: string) {
    this.url = url;
  }

  /** What the next deliveries are answered, in turn; the last answer stays. */
  answers(...script: Answer[]): this {
    this.#script = script;
    return this;
  }

  take(request: Received): Answer {
    this.received.push(request);
    const next = this.#script[0] ?? {};
    if (this.#script.length > 1) this.#script.shift();
    return next;
  }
}

export class Receiver {
  readonly #server: Server;
  readonly #origin: string;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #strays: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.#origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Receiver(server);
  }

  /** A new address; without a script it answers 200 with `{"status":"received"}`. */
  endpoint(...script: Answer[]): Endpoint {
    const path = `/hooks/${this.#endpoints.size + 1}`;
    const endpoint = new Endpoint(this.#origin + path).answers(
      ...(script.length > 0 ? script : [{ body: '{"status":"received"}', headers: { "content-type": "application/json" } }]),
    );
    this.#endpoints.set(path, endpoint);
    return endpoint;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const endpoint = this.#endpoints.get(request.url ?? "");
    if (!endpoint) {
      this.#strays.push(`${request.method} ${request.url}`);
      response.writeHead(404).end();
      return;
    }
    const { method = "", headers } = request;
    const json = JSON.parse(body.toString("utf8")) as Received["json"];
    const answer = endpoint.take({ method, headers, body, json });
    await answer.until;
    if (answer.delayMs) await new Promise((done) => setTimeout(done, answer.delayMs));
    response.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
  }

  /** Verifies everything that arrived; `api` knows the secrets of the webhooks that lead here. */
  async verify(api: Api): Promise<void> {
    if (this.#strays.length > 0) throw new Error(`Deliveries to addresses of nobody: ${this.#strays.join(", ")}`);
    const busy = [...this.#endpoints.values()].filter((endpoint) => endpoint.received.length > 0);
    if (busy.length === 0) return;
    const webhooks = await api.webhooks();
    for (const endpoint of busy) {
      const secrets = new Set(endpoint.secrets);
      for (const webhook of webhooks.filter(({ url }) => url === endpoint.url)) {
        secrets.add((await api.secret(webhook.id)).secret);
      }
      for (const received of endpoint.received) verifyOne(received, [...secrets]);
    }
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** `X-InTime-Signature` of a body. */
export function bodySignature(secret: string, body: Buffer): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** Whether the Standard Webhooks library accepts a delivery with this secret. */
export function isVerified({ body, headers }: Received, secret: string): boolean {
  try {
    new Webhook(secret).verify(body.toString("utf8"), headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

function verifyOne(received: Received, secrets: string[]): void {
  const { headers, json, body, method } = received;
  const problems = Object.entries({
    "it is not a POST of JSON": method === "POST" && headers["content-type"] === "application/json",
    "webhook-signature does not verify": secrets.some((secret) => isVerified(received, secret)),
    "X-InTime-Signature is wrong": secrets.some((secret) => headers["x-intime-signature"] === bodySignature(secret, body)),
    "webhook-id is not the event's id": headers["webhook-id"] === json.id,
    "X-InTime-Event is not the event": headers["x-intime-event"] === json.event,
    "X-InTime-Delivery is missing": /^dlv_/.test(String(headers["x-intime-delivery"])),
    "the body has other members": Object.keys(json).join() === "id,event,timestamp,data",
  }).flatMap(([problem, isFine]) => (isFine ? [] : [problem]));
  if (problems.length > 0) {
    throw new Error(
      `A delivery of ${json.event} is not as documented: ${problems.join("; ")} (${secrets.length} secrets known)\n` +
        JSON.stringify(headers, undefined, 2),
    );
  }
}
