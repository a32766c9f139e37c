"""Uploads by forms that boto3 has presigned: post.py ENDPOINT BUCKET FILE. Prints what came of each as JSON."""
import json
import sys
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config

endpoint, bucket, path = sys.argv[1:4]
content = open(path, "rb").read()


def send(post, data, filename="up.bin", headers=None, tail=b""):
    """Posts the form as urllib3 writes it: fields first, then the file, then the end."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in post["fields"].items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'.encode()
    body += data + b"\r\n"
    if tail:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="submit"\r\n\r\n'.encode() + tail + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    request = urllib.request.Request(post["url"], data=body, method="POST", headers={
        "Content-Type": f"multipart/form-data; boundary={boundary}", **(headers or {})})
    try:
        with urllib.request.urlopen(request) as answer:
            return {"status": answer.status, "etag": answer.headers.get("ETag", "").strip('"'), "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "etag": "", "body": error.read().decode()}


results = {"version": boto3.__version__}
lister = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4"))
for name, version in {"v4": "s3v4", "v2": "s3"}.items():
    s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version=version))
    post = s3.generate_presigned_post(
        bucket, f"{name}/${{filename}}", Fields={"acl": "private", "Content-Type": "text/x-test", "success_action_status": "201"},
        Conditions=[{"acl": "private"}, ["starts-with", "$Content-Type", "text/"], {"success_action_status": "201"},
                    ["content-length-range", 1, len(content)]])
    results[name] = send(post, content)
    results[name + " page"] = send(post, content, "page.bin", {"Upgrade-Insecure-Requests": "1"}, b"Upload")
    results[name + " too large"] = send(post, content + b"x", "large.bin")
    results[name + " empty"] = send(post, b"", "empty.bin")
    tampered = {"url": post["url"], "fields": {**post["fields"], "acl": "public-read"}}
    results[name + " tampered"] = send(tampered, content[:1000], "tampered.bin")
    outside = {"url": post["url"], "fields": {**post["fields"], "key": "elsewhere/${filename}"}}
    results[name + " outside"] = send(outside, content[:1000], "outside.bin")
    bare = s3.generate_presigned_post(bucket, f"{name}/bare")
    results[name + " bare"] = send(bare, content)
    results[name + " keys"] = sorted(o["Key"] for o in lister.list_objects_v2(Bucket=bucket, Prefix=name + "/")["Contents"])
print(json.dumps(results))
