# PUTs of files one after another on one connection, an empty one among them: reuse.py ENDPOINT BUCKET
#
# botocore sends Expect: 100-continue with every file. Given a final answer without a 100 before it, as a server may well do when
# no body is to come, botocore reads the next answer on that connection wrongly and waits for the end of a body that never
# comes. So an empty body has to be asked for too, as AWS and Ceph RGW do.
import io
import sys

import boto3
from botocore.config import Config

endpoint, bucket = sys.argv[1:]
once = Config(read_timeout=30, retries={"total_max_attempts": 1}, max_pool_connections=1)
s3 = boto3.client("s3", endpoint_url=endpoint, config=once)
for n, size in enumerate((10, 0, 100_000, 0, 0, 7)):
    body = b"x" * size
    s3.put_object(Bucket=bucket, Key=f"{n}", Body=io.BytesIO(body))
    assert s3.get_object(Bucket=bucket, Key=f"{n}")["Body"].read() == body, f"object {n} differs"
    s3.put_object(Bucket=bucket, Key=f"{n}", Body=io.BytesIO(body))
