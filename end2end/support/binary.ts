// The program under test, as a process of its own: a temporary data folder, a free port, and nothing of this process's
// environment. It refuses to hide how the program ends: an exit code other than 0 fails the run with what it wrote.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const READY = /^Signalbox is ready at (http:\/\/\S+)$/;
const SETUP = /^Set it up at (http:\/\/\S+)$/;

/** What is there from the beginning, so that tests can sign in at once. */
export const OWNER = {
  email: "owner@example.com",
  password: "correct horse battery staple",
  apiKey: "end2end-key-0123456789abcdef0123456789abcdef",
};

const BOOTSTRAP = {
  SIGNALBOX_BOOTSTRAP_EMAIL: OWNER.email,
  SIGNALBOX_BOOTSTRAP_PASSWORD: OWNER.password,
  SIGNALBOX_BOOTSTRAP_API_KEY: OWNER.apiKey,
};

export class Server {
  /** Without a slash at the end. */
  readonly url: string;
  /** Where a new installation is set up; empty when somebody can sign in already. */
  readonly setupLink: string;
  /** What it wrote, line by line. */
  readonly log: string[];
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, setupLink: string, log: string[], process: ChildProcess, folder: string) {
    this.url = url;
    this.setupLink = setupLink;
    this.log = log;
    this.#process = process;
    this.#folder = folder;
  }

  /** A server with an owner and an API key. */
  static ready(): Promise<Server> {
    return Server.#start(BOOTSTRAP);
  }

  /** A server on its first run: nobody can sign in. */
  static unconfigured(): Promise<Server> {
    return Server.#start({});
  }

  static async #start(settings: Record<string, string>): Promise<Server> {
    const given = process.env.SIGNALBOX_BIN;
    if (!given) throw new Error("SIGNALBOX_BIN must name the binary to test; `make test` sets it");
    // npm runs this in end2end/; a relative path was meant from where npm was called.
    const binary = resolve(process.env.INIT_CWD ?? ".", given);
    const folder = await mkdtemp(join(tmpdir(), "signalbox-end2end-"));
    const child = spawn(binary, ["serve"], {
      cwd: folder, // no signalbox.toml of somebody else's
      env: {
        PATH: process.env.PATH,
        SIGNALBOX_LISTEN: "127.0.0.1:0",
        SIGNALBOX_DATA_DIR: join(folder, "data"),
        SIGNALBOX_ALLOW_NETWORKS: "127.0.0.0/8",
        ...settings,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log: string[] = [];
    const lines = createInterface(child.stdout);
    createInterface(child.stderr).on("line", (line) => log.push(line));
    const needsSetup = Object.keys(settings).length === 0;
    try {
      let url = "";
      const setupLink = await new Promise<string>((found, failed) => {
        lines.on("line", (line) => {
          log.push(line);
          url ||= READY.exec(line)?.[1] ?? "";
          const link = SETUP.exec(line)?.[1] ?? "";
          if (url && (link || !needsSetup)) found(link);
        });
        child.once("error", failed);
        child.once("exit", (code) => failed(new Error(`${binary} ended with ${code} before it was ready`)));
      });
      return new Server(url, setupLink, log, child, folder);
    } catch (error) {
      child.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      throw new Error(`The server did not start.\n${log.join("\n")}`, { cause: error });
    }
  }

  /** Stops it as an operator does, and insists that it ends well. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== 0) {
      throw new Error(`The server ended with ${exitCode ?? signalCode}.\n${this.log.slice(-50).join("\n")}`);
    }
  }
}
