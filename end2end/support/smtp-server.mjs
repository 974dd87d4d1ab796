// A real SMTP server for tests, on a free port of 127.0.0.1.
//
//   node smtp-server.mjs '{"secure":false,"auth":"optional","user":"apikey","password":"right","cert":"…","key":"…"}'
//
// secure: TLS from the first byte. starttls: false hides it. auth: "required", "optional" or "off".
// It prints one line of JSON for what happens: {"event":"listening","port":…}, then {"event":"message",…} for each accepted
// message. A line of JSON on its standard input changes its options from then on, and is answered by {"event":"changed"}.
// What it does to a message is said by its recipients' local parts: "reply-550" answers 550 to RCPT, "data-451" answers 451
// to the whole message, "hang" takes the whole message and never answers, "drop" takes it and closes the connection,
// "slow" answers after delay_ms. The option "greeting" (a code) refuses every connection.
import { createRequire } from "node:module";
import process from "node:process";
import readline from "node:readline";

const modules = process.env.SIGNALBOX_TEST_NODE_MODULES;
const require = createRequire(modules ? `${modules}/` : import.meta.url);
const { SMTPServer } = require("smtp-server");

const options = { secure: false, starttls: true, auth: "optional", user: "apikey", password: "right", delay_ms: 1_000 };
Object.assign(options, JSON.parse(process.argv[2] ?? "{}"));

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const refusal = (code, text) => Object.assign(new Error(text), { responseCode: code });
const local = (address) => address.split("@")[0].split("+")[0];
const answers = {
  421: "4.3.2 Service shutting down",
  450: "4.2.1 Mailbox busy",
  451: "4.3.0 Local error in processing",
  452: "4.2.2 Mailbox full",
  454: "4.7.0 Throttling failure: maximum sending rate exceeded",
  550: "5.1.1 No such user here",
  552: "5.3.4 Message too big",
  554: "5.7.1 Message refused",
};
const told = (kind, address) => {
  const found = new RegExp(`^${kind}-(\\d{3})$`).exec(local(address));
  return found ? refusal(Number(found[1]), answers[found[1]] ?? "Refused") : null;
};

const hidden = [];
if (!options.starttls) hidden.push("STARTTLS");
if (options.auth === "off") hidden.push("AUTH");

const server = new SMTPServer({
  secure: options.secure,
  ...(options.cert ? { cert: options.cert, key: options.key } : {}),
  hideSTARTTLS: !options.starttls,
  disabledCommands: hidden,
  authOptional: options.auth !== "required",
  allowInsecureAuth: true,
  authMethods: options.methods ?? ["PLAIN", "LOGIN"],
  disableReverseLookup: true,
  closeTimeout: 100,
  socketTimeout: 60_000,
  logger: false,
  onConnect(session, done) {
    done(options.greeting ? refusal(options.greeting, answers[options.greeting] ?? "Go away") : null);
  },
  onAuth(auth, session, done) {
    if (options.auth_reply) return done(refusal(options.auth_reply, "5.7.8 Refused as told"));
    const is_right = auth.username === options.user && auth.password === options.password;
    return is_right ? done(null, { user: auth.username }) : done(refusal(535, "5.7.8 Authentication failed"));
  },
  onMailFrom(address, session, done) {
    done(told("reply", address.address));
  },
  onRcptTo(address, session, done) {
    done(told("reply", address.address));
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", () => {
      const to = session.envelope.rcptTo.map(({ address }) => address);
      const refused = to.map((address) => told("data", address)).find(Boolean);
      if (refused) return done(refused);
      say({
        event: "message",
        from: session.envelope.mailFrom.address,
        to,
        user: session.user ?? null,
        secure: session.secure,
        text: Buffer.concat(chunks).toString("utf8"),
      });
      const manner = to.map(local).find((name) => ["hang", "drop", "slow"].includes(name));
      if (manner === "hang") return undefined;
      if (manner === "drop") return [...server.connections].find(({ id }) => id === session.id)._socket.destroy();
      if (manner === "slow") return setTimeout(() => done(null, "2.0.0 Taken, late"), options.delay_ms);
      return done(null, "2.0.0 Taken as 1A2B3C");
    });
  },
});
// A client that leaves, or does not like the certificate, is not the end of the server.
server.on("error", () => {});
server.listen(0, "127.0.0.1", function listening() {
  say({ event: "listening", port: this.address().port });
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  Object.assign(options, JSON.parse(line));
  say({ event: "changed" });
}).on("close", () => process.exit(0));
