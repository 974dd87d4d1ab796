# Verifies the deliveries on standard input with the published library, refuses tampered ones, and checks our own header.
import hashlib, hmac, json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

cases = json.load(sys.stdin)
for case in cases:
    for secret in case["secrets"]:
        Webhook(secret).verify(case["body"], case["headers"])
        try:
            Webhook(secret).verify(case["body"] + " ", case["headers"])
        except WebhookVerificationError:
            pass
        else:
            sys.exit("a tampered body was verified")
    mac = hmac.new(case["body_secret"].encode(), case["body"].encode(), hashlib.sha256).hexdigest()
    if case["headers"]["x-intime-signature"] != "sha256=" + mac:
        sys.exit("the body signature is not the plain HMAC")
print(len(cases), "verified")
