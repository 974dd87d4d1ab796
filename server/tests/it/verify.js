// Verifies the deliveries on standard input with the published libraries, refuses tampered ones, and checks our own header.
const { createHmac } = require("node:crypto");
const { readFileSync } = require("node:fs");
const libraries = [require("standardwebhooks").Webhook, require("svix").Webhook];

const cases = JSON.parse(readFileSync(0, "utf8"));
for (const { headers, body, secrets, body_secret } of cases) {
  for (const Webhook of libraries) {
    for (const secret of secrets) {
      new Webhook(secret).verify(body, headers);
      let refused = false;
      try {
        new Webhook(secret).verify(body + " ", headers);
      } catch {
        refused = true;
      }
      if (!refused) throw new Error("a tampered body was verified");
    }
  }
  const mac = createHmac("sha256", body_secret).update(body).digest("hex");
  if (headers["x-intime-signature"] !== `sha256=${mac}`) throw new Error("the body signature is not the plain HMAC");
}
console.log(`${cases.length} verified`);
