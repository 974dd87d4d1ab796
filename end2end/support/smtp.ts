// A real SMTP server for one test, and what it accepted.
import { type ChildProcess, spawn } from "node:child_process";
import readline from "node:readline";

interface Message {
  from: string;
  to: string[];
  text: string;
}

export class Smtp {
  readonly port: number;
  readonly messages: Message[] = [];
  readonly #process: ChildProcess;
  readonly #changed: (() => void)[] = [];

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  /** Starts it; `options` are those of smtp-server.mjs. */
  static async start(options: object = {}): Promise<Smtp> {
    const script = new URL("smtp-server.mjs", import.meta.url).pathname;
    const child = spawn(process.execPath, [script, JSON.stringify({ starttls: false, ...options })], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = readline.createInterface({ input: child.stdout! });
    return new Promise((resolve, reject) => {
      let smtp: Smtp | undefined;
      child.once("exit", (code) => reject(new Error(`the SMTP server ended with ${code}`)));
      lines.on("line", (line) => {
        const event = JSON.parse(line);
        if (event.event === "listening") resolve((smtp = new Smtp(child, event.port)));
        if (event.event === "message") smtp?.messages.push(event);
        if (event.event === "changed" && smtp) smtp.#changed.shift()?.();
      });
    });
  }

  /** Changes its options from now on; answers when it has. */
  async change(options: object): Promise<void> {
    const changed = new Promise<void>((resolve) => this.#changed.push(resolve));
    this.#process.stdin!.write(`${JSON.stringify(options)}\n`);
    await changed;
  }

  stop(): void {
    this.#process.removeAllListeners("exit");
    this.#process.kill();
  }
}
