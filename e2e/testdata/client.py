# boto3 as a program of the client matrix: client.py ENDPOINT BUCKET COMMAND ARGS...
#   version | put FILE KEY | upload FILE KEY | get KEY FILE | read KEY FIRST LAST | list PREFIX PAGE | copy FROM TO
#   delete KEY... | presign KEY | presign-put KEY
import json
import sys

import boto3
from botocore.config import Config

endpoint, bucket, command, *args = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint)


def presign(call, key, version):
    signer = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version=version, s3={"addressing_style": "path"}))
    return signer.generate_presigned_url(call, Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)


def put(path, key):
    with open(path, "rb") as f:
        s3.put_object(Bucket=bucket, Key=key, Body=f)


def read(key, first, last):
    sys.stdout.buffer.write(s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}")["Body"].read())


def sizes(prefix, page):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": int(page)})
    print(json.dumps({o["Key"]: o["Size"] for p in pages for o in p.get("Contents", [])}))


def delete(*keys):
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(o["Key"] for o in answer["Deleted"]) == sorted(keys) and "Errors" not in answer, answer


def presign_get(key):
    print(presign("get_object", key, "s3v4"))
    print(presign("get_object", key, "s3"))


{
    "version": lambda: print("boto3", boto3.__version__, "on Python", sys.version.split()[0]),
    "put": put,
    "upload": lambda path, key: s3.upload_file(path, bucket, key),
    "get": lambda key, path: s3.download_file(bucket, key, path),
    "read": read,
    "list": sizes,
    "copy": lambda source, to: s3.copy({"Bucket": bucket, "Key": source}, bucket, to),
    "delete": delete,
    "presign": presign_get,
    "presign-put": lambda key: print(presign("put_object", key, "s3v4")),
}[command](*args)
