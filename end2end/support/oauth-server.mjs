// A real authorization server (oidc-provider) for tests, on a free port of 127.0.0.1: PKCE is enforced, the answer says who
// answers (iss), refresh tokens rotate, and one that comes twice ends the whole grant.
//
//   node oauth-server.mjs '{"redirect_uris":["http://…/oauth/callback/custom_oauth"],"access_s":3600}'
//
// Its one client is "signalbox" with the secret "right-secret". People sign in on its page by a name of their choice and allow
// or deny; a program may post the same form: account, decision ("allow" or "deny"), withhold (scopes, by spaces).
// It prints one line of JSON for what happens: {"event":"listening","port":…}, then {"event":"token",…} for each request to
// the token endpoint. A line of JSON on its standard input changes its options from then on, and is answered by
// {"event":"changed"}: token_status answers that to every refresh, drop lets the client never hear the answer, garbage answers
// it with what is no JSON, hold keeps it ({"event":"held"}) until hold is false, which answers it, or "forget", which does not.
import path from "node:path";
import process from "node:process";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

// What the library remarks is no event.
console.info = console.error;

const modules = process.env.SIGNALBOX_TEST_NODE_MODULES ?? path.join(import.meta.dirname, "../node_modules");
const { default: Provider } = await import(pathToFileURL(path.join(modules, "oidc-provider/lib/index.js")).href);

const options = { redirect_uris: [], access_s: 3600, token_status: 0, drop: false, garbage: false, hold: false };
Object.assign(options, JSON.parse(process.argv[2] ?? "{}"));
/** Lets go of the refresh that is held. */
let release = () => {};
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const { createServer } = await import("node:http");
const server = createServer();
await new Promise((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "signalbox",
      client_secret: "right-secret",
      redirect_uris: options.redirect_uris,
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "client_secret_post",
    },
  ],
  scopes: ["openid", "email", "offline_access", "calendar.read", "calendar.write"],
  claims: { openid: ["sub"], email: ["email"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, introspection: { enabled: true }, revocation: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@company.com` }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["a key of tests"] },
  // People are asked each time, also for what they granted before.
  loadExistingGrant: async ({ oidc }) => {
    const given = oidc.result?.consent?.grantId;
    return given ? oidc.provider.Grant.find(given) : undefined;
  },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  ttl: { AccessToken: () => options.access_s, AuthorizationCode: 60, Grant: 86_400, RefreshToken: 86_400, Session: 86_400, Interaction: 600, IdToken: 3600 },
});

const form = (uid, prompt, scope) => `<!DOCTYPE html><html lang="en"><title>Sign in</title><main><h1>${prompt}</h1>
<p>Signalbox asks for: ${scope}</p><form method="post" action="/interaction/${uid}">
<label>Account <input name="account" value="john"></label><label>Withhold <input name="withhold"></label>
<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form></main></html>`;

async function read(request) {
  let body = "";
  for await (const piece of request) body += piece;
  return new URLSearchParams(body);
}

/** Signs in and consents in one step. */
async function interact(ctx) {
  const { uid, prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === "GET") {
    ctx.type = "html";
    ctx.body = form(uid, prompt.name, params.scope);
    return;
  }
  const said = await read(ctx.req);
  ctx.respond = false;
  if (said.get("decision") !== "allow") {
    const denial = { error: "access_denied", error_description: "The owner of the account said no" };
    await provider.interactionFinished(ctx.req, ctx.res, denial, { mergeWithLastSubmission: false });
    return;
  }
  const accountId = said.get("account") || "john";
  const withheld = (said.get("withhold") ?? "").split(" ").filter(Boolean);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  const scopes = params.scope.split(" ");
  grant.addOIDCScope(scopes.filter((scope) => !withheld.includes(scope)).join(" "));
  if (withheld.length > 0) grant.rejectOIDCScope(withheld.join(" "));
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
}

/** The account's calendars, for an access token that lives. */
async function calendars(ctx) {
  const token = await provider.AccessToken.find((ctx.get("authorization").match(/^Bearer (.+)$/) ?? [])[1] ?? "");
  ctx.status = token ? 200 : 401;
  ctx.body = token ? { items: [{ id: "primary", summary: "John" }, { id: "team", summary: "Interviews" }] } : { error: "invalid_token" };
}

provider.use(async (ctx, next) => {
  if (ctx.path === "/favicon.ico") {
    ctx.status = 204;
    return;
  }
  if (ctx.path.startsWith("/interaction/")) return interact(ctx);
  if (ctx.path === "/calendars") return calendars(ctx);
  if (ctx.path !== "/token") return next();
  // Read before it is answered, so that what is said is what was asked.
  const said = await read(ctx.req);
  ctx.req.body = Object.fromEntries(said);
  const isRefresh = said.get("grant_type") === "refresh_token";
  const fault = isRefresh && (options.token_status || options.garbage);
  if (isRefresh && options.hold) {
    const released = new Promise((resolve) => (release = resolve));
    say({ event: "held" });
    if ((await released) === "forget") return ctx.req.socket.destroy();
  }
  if (isRefresh && options.token_status) {
    ctx.status = options.token_status;
    ctx.body = { error: "temporarily_unavailable" };
  } else {
    await next();
    if (fault) ctx.body = "<html>not what you think</html>";
  }
  const error = typeof ctx.body === "object" ? ctx.body?.error : undefined;
  const { refresh_token } = typeof ctx.body === "object" ? ctx.body : {};
  say({ event: "token", grant_type: said.get("grant_type"), status: ctx.status, error, refresh_token });
  if (isRefresh && options.drop) ctx.req.socket.destroy();
});
provider.on("server_error", (_, error) => say({ event: "error", error: String(error.stack ?? error) }));
server.on("request", provider.callback());

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  Object.assign(options, JSON.parse(line));
  if (options.hold !== true) {
    release(options.hold);
    options.hold = false;
  }
  say({ event: "changed" });
});
process.stdin.on("end", () => process.exit());
say({ event: "listening", port: server.address().port });
