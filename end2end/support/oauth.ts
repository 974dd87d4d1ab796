// A real authorization server for one test, and what its token endpoint was asked.
import { type ChildProcess, spawn } from "node:child_process";
import readline from "node:readline";

interface TokenRequest {
  grant_type: string;
  status: number;
}

export class Oauth {
  readonly url: string;
  readonly tokens: TokenRequest[] = [];
  readonly #process: ChildProcess;
  readonly #changed: (() => void)[] = [];

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts it; `options` are those of oauth-server.mjs. */
  static async start(options: object): Promise<Oauth> {
    const script = new URL("oauth-server.mjs", import.meta.url).pathname;
    const child = spawn(process.execPath, ["--no-warnings", script, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", "ignore"], // it warns that it is not meant for production
    });
    const lines = readline.createInterface({ input: child.stdout! });
    return new Promise((resolve, reject) => {
      let oauth: Oauth | undefined;
      child.once("exit", (code) => reject(new Error(`the authorization server ended with ${code}`)));
      lines.on("line", (line) => {
        const event = JSON.parse(line);
        if (event.event === "listening") resolve((oauth = new Oauth(child, event.port)));
        if (event.event === "token") oauth?.tokens.push(event);
        if (event.event === "changed" && oauth) oauth.#changed.shift()?.();
      });
    });
  }

  /** Changes what it does from now on. */
  async change(options: object): Promise<void> {
    const changed = new Promise<void>((resolve) => this.#changed.push(resolve));
    this.#process.stdin!.write(`${JSON.stringify(options)}\n`);
    await changed;
  }

  /** How often an access was renewed. */
  refreshes(): number {
    return this.tokens.filter(({ grant_type, status }) => grant_type === "refresh_token" && status === 200).length;
  }

  stop(): void {
    this.#process.removeAllListeners("exit");
    this.#process.kill();
  }
}
