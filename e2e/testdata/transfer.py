# The default transfer of boto3, with its default checksums, against the endpoint in the first argument:
#   transfer.py ENDPOINT BUCKET FILE KEY NOTE
# Uploads FILE as KEY, by name and as a stream, reads both back and prints what HEAD and a listing say, as JSON.
import hashlib
import io
import json
import sys

import boto3

endpoint, bucket, path, key, note = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint)


class Stream(io.RawIOBase):
    """A file that cannot seek, as a socket or a pipe."""

    def __init__(self, f):
        self.f = f

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, n=-1):
        return self.f.read(n)


s3.upload_file(path, bucket, key, ExtraArgs={"Metadata": {"note": note}})
with open(path, "rb") as f:
    s3.upload_fileobj(Stream(f), bucket, key + "-stream")
with open(path, "rb") as f:
    s3.put_object(Bucket=bucket, Key=key + "-put", Body=f)

want = hashlib.sha256(open(path, "rb").read()).hexdigest()
for name in (key, key + "-stream", key + "-put"):
    back = io.BytesIO()
    s3.download_fileobj(bucket, name, back)
    got = hashlib.sha256(back.getvalue()).hexdigest()
    assert got == want, f"{name}: downloaded {len(back.getvalue())} bytes with SHA-256 {got}, want {want}"
    body = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
    assert hashlib.sha256(body).hexdigest() == want, f"{name}: get_object gave other bytes"

head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
listed = {o["Key"]: o for o in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]}
tail = s3.get_object(Bucket=bucket, Key=key, Range="bytes=-1000")["Body"].read()
assert tail == open(path, "rb").read()[-1000:], "the last 1000 bytes differ"
print(json.dumps({
    "version": boto3.__version__,
    "etag": head["ETag"].strip('"'),
    "size": head["ContentLength"],
    "note": head["Metadata"].get("note"),
    "listed_etag": listed[key]["ETag"].strip('"'),
    "listed_size": listed[key]["Size"],
    "put_etag": listed[key + "-put"]["ETag"].strip('"'),
}))
