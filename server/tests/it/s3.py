"""An S3 that verifies signatures: moto's, on a free port of 127.0.0.1, with one bucket and one key that may use it.

Prints one line of JSON, then serves until its standard input ends. A line of it is a key, answered by what is stored there.
"""

import json
import logging
import os
import sys

# Whoever makes the user, the key, its policy and the bucket is not asked who they are. Everybody after that is.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ[name] = "nobody"
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"
iam = boto3.client("iam", endpoint_url=endpoint)
iam.create_user(UserName="signalbox")
key = iam.create_access_key(UserName="signalbox")["AccessKey"]
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="signalbox", PolicyName="s3", PolicyDocument=json.dumps(policy))
boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="documents")
print(json.dumps({"endpoint": endpoint, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
reader = boto3.client(
    "s3", endpoint_url=endpoint, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
)
for line in sys.stdin:
    found = reader.get_object(Bucket="documents", Key=line.strip())
    print(json.dumps({"text": found["Body"].read().decode(), "type": found["ContentType"]}), flush=True)
server.stop()
