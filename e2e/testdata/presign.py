# Prints a URL for a GET and one for a PUT, signed with SigV4 for ten minutes: presign.py ENDPOINT BUCKET KEY
import sys

import boto3
from botocore.config import Config

endpoint, bucket, key = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
for call in ("get_object", "put_object"):
    print(s3.generate_presigned_url(call, Params={"Bucket": bucket, "Key": key}, ExpiresIn=600))
