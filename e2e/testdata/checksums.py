# Objects with every checksum that botocore computes by itself, read back as it verifies them:
#   checksums.py ENDPOINT BUCKET
# Prints the version, and the checksum and type that HEAD shows of each object, as JSON.

import base64
import hashlib
import json
import os
import sys
import zlib

import boto3

endpoint, bucket = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint)
parts = [os.urandom(5 << 20), os.urandom(70_000)]
body = b"".join(parts)

digests = {
    "CRC32": lambda b: zlib.crc32(b).to_bytes(4, "big"),
    "SHA1": lambda b: hashlib.sha1(b).digest(),
    "SHA256": lambda b: hashlib.sha256(b).digest(),
}


def text(raw):
    return base64.b64encode(raw).decode()


def checksums(answer):
    return {name: v for name, v in answer.items() if name.startswith("Checksum") and name not in ("ChecksumType", "ChecksumAlgorithm")}


def multipart(key, named, each):
    """Names to Complete what each UploadPart has answered, as transfer managers do."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **named)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part, **each)
        done.append({"PartNumber": number, "ETag": answer["ETag"], **checksums(answer)})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})


shown = {}


def read(key, want=None, count=1):
    """Reads an object, all of it and part by part; botocore compares each with the checksum that comes with it."""
    # From the headers, since older models of S3 do not know them all.
    headers = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")["ResponseMetadata"]["HTTPHeaders"]
    shown[key] = {name.removeprefix("x-amz-checksum-"): v for name, v in headers.items() if name.startswith("x-amz-checksum-")}
    assert want is None or want in shown[key].values(), f"{key}: {shown[key]}, want {want}"
    assert s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")["Body"].read() == body, f"{key}: other bytes"
    assert s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", Range="bytes=1-")["Body"].read() == body[1:], f"{key}: other range"
    for number in range(1, count + 1):
        s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", PartNumber=number)["Body"].read()


s3.put_object(Bucket=bucket, Key="put", Body=body)
read("put")
multipart("multipart", {}, {})
read("multipart", count=2)
for algorithm, digest in digests.items():
    each = {"ChecksumAlgorithm": algorithm}
    s3.put_object(Bucket=bucket, Key=f"put {algorithm}", Body=body, **each)
    read(f"put {algorithm}", text(digest(body)))
    multipart(f"multipart {algorithm}", each, each)
    read(f"multipart {algorithm}", text(digest(b"".join(map(digest, parts)))) + "-2", count=2)
    for source in ("put", f"multipart {algorithm}"):
        s3.copy_object(Bucket=bucket, Key=f"{source} as {algorithm}", CopySource={"Bucket": bucket, "Key": source}, **each)
        read(f"{source} as {algorithm}", text(digest(body)))
print(json.dumps({"version": boto3.__version__, "shown": shown}))
