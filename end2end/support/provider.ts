// A real HTTP API of a provider, for probes: it answers what it is told to and remembers what it was asked.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export class Provider {
  readonly url: string;
  readonly asked: { path: string; headers: IncomingHttpHeaders }[] = [];
  status = 200;
  headers: Record<string, string> = {};
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      this.asked.push({ path: request.url ?? "", headers: request.headers });
      response.writeHead(this.status, this.headers).end("{}");
    });
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
