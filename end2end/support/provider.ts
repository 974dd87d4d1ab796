// A real HTTP API of a provider, for probes: it answers what it is told to and remembers what it was asked.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class Provider {
  readonly url: string;
  readonly asked: { path: string; headers: IncomingHttpHeaders }[] = [];
  status = 200;
  /** While set, requests are remembered and not answered. */
  held = false;
  headers: Record<string, string> = {};
  readonly #waiting: (() => void)[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      this.asked.push({ path: request.url ?? "", headers: request.headers });
      if (this.held) this.#waiting.push(() => this.#answer(response));
      else this.#answer(response);
    });
  }

  #answer(response: ServerResponse): void {
    response.writeHead(this.status, this.headers).end("{}");
  }

  /** Answers what waits, and from now on at once. */
  release(): void {
    this.held = false;
    for (const answer of this.#waiting.splice(0)) answer();
  }

  static async start(answer: { status?: number; headers?: Record<string, string> } = {}): Promise<Provider> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return Object.assign(new Provider(server), answer);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
