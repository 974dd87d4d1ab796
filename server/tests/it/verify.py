# Verifies the deliveries on standard input with the published libraries, refuses tampered ones, and checks our own header.
import hashlib, hmac, json, sys
import standardwebhooks.webhooks as standard
import svix.webhooks as svix

cases = json.load(sys.stdin)
for case in cases:
    for library in (standard, svix):
        for secret in case["secrets"]:
            library.Webhook(secret).verify(case["body"], case["headers"])
            try:
                library.Webhook(secret).verify(case["body"] + " ", case["headers"])
            except library.WebhookVerificationError:
                pass
            else:
                sys.exit("a tampered body was verified")
    mac = hmac.new(case["body_secret"].encode(), case["body"].encode(), hashlib.sha256).hexdigest()
    if case["headers"]["x-intime-signature"] != "sha256=" + mac:
        sys.exit("the body signature is not the plain HMAC")
print(len(cases), "verified")
