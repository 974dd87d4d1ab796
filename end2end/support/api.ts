// The REST API as tests use it: to prepare what a screen shows, and to look behind it. Every call must succeed, unless it says
// which status it expects instead.

export interface Webhook {
  id: string;
  name: string;
  url: string;
  description: string;
  events: string[];
  state: "active" | "paused" | "disabled";
  version: number;
  headers: { name: string; value: string | null }[];
  consecutive_failures: number;
  blocked_until: string | null;
}

export interface WebhookDraft {
  name: string;
  url: string;
  events: string[];
  description?: string;
  state?: Webhook["state"];
  headers?: { name: string; value: string }[];
  retry_policy?: object;
  filter?: object[];
  options?: object;
}

export interface Delivery {
  id: string;
  event_id: string;
  event: string;
  webhook_id: string;
  status: "pending" | "sending" | "retrying" | "delivered" | "dead_letter" | "failed" | "held" | "discarded";
  kind: "event" | "test" | "replay" | "edited";
  attempts: number;
  response_status: number | null;
  replay_of: string | null;
}

export interface DeliveryDetail extends Delivery {
  request_body: string | null;
  attempts_made: { number: number; response_status: number | null; error: string | null }[];
}

export interface Secret {
  secret: string;
  previous_expires_at: string | null;
}

interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

/** Two tries, one second apart: the shortest way to a dead letter. */
export const ONE_RETRY = { strategy: "fixed", max_retries: 1, initial_delay_s: 1, jitter: "none" };

export class Api {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  /** Adds an HTTP API that is probed at `path`. */
  integration(name: string, base_url: string, path: string): Promise<{ id: string }> {
    const config = { base_url, health_path: path };
    const secrets = { authorization: "Bearer test" };
    return this.call("POST", "/api/v1/integrations", { provider: "custom_api", name, config, secrets });
  }

  /** Any call; what it answers is believed to be a `T`. */
  async call<T>(method: string, path: string, body?: unknown, expected?: number): Promise<T> {
    const response = await fetch(this.#url + path, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (expected === undefined ? !response.ok : response.status !== expected) {
      throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    }
    return (text ? JSON.parse(text) : undefined) as T;
  }

  createWebhook(draft: WebhookDraft): Promise<Webhook & { secret: string }> {
    return this.call("POST", "/api/v1/webhooks", draft);
  }

  webhook(id: string): Promise<Webhook> {
    return this.call("GET", `/api/v1/webhooks/${id}`);
  }

  /** All of them. */
  async webhooks(): Promise<Webhook[]> {
    const all: Webhook[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<Webhook> = await this.call("GET", `/api/v1/webhooks?limit=200${cursor ? `&cursor=${cursor}` : ""}`);
      all.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor);
    return all;
  }

  /** The webhook with this name. */
  async webhookNamed(name: string): Promise<Webhook> {
    const found = (await this.webhooks()).find((webhook) => webhook.name === name);
    if (!found) throw new Error(`There is no webhook named ${name}`);
    return found;
  }

  deleteWebhook(id: string): Promise<void> {
    return this.call("DELETE", `/api/v1/webhooks/${id}`);
  }

  secret(webhook: string): Promise<Secret> {
    return this.call("GET", `/api/v1/webhooks/${webhook}/secret`);
  }

  setState(webhook: string, state: Webhook["state"]): Promise<Webhook> {
    return this.call("PUT", `/api/v1/webhooks/${webhook}/state`, { state });
  }

  publish(event: string, data: unknown): Promise<{ id: string; deliveries: number }> {
    return this.call("POST", "/api/v1/events", { event, data });
  }

  test(webhook: string, event?: string, data?: unknown): Promise<DeliveryDetail> {
    return this.call("POST", `/api/v1/webhooks/${webhook}/test`, { event, data });
  }

  delivery(id: string): Promise<DeliveryDetail> {
    return this.call("GET", `/api/v1/deliveries/${id}`);
  }

  /** Deliveries of a webhook, the newest first. */
  async deliveriesOf(webhook: string): Promise<Delivery[]> {
    const page = await this.call<Page<Delivery>>("GET", `/api/v1/deliveries?webhook_id=${webhook}&limit=200`);
    return page.data;
  }

  /** Ids of the dead letters of a webhook, the newest first. */
  async deadLettersOf(webhook: string): Promise<string[]> {
    const page = await this.call<Page<Delivery>>("GET", `/api/v1/dead-letters?webhook_id=${webhook}&limit=200`);
    return page.data.map(({ id }) => id);
  }

  async inspectorUrl(): Promise<string> {
    return (await this.call<{ url: string }>("GET", "/api/v1/inspector")).url;
  }
}
