// The JavaScript SDK as a program of the client matrix: client.js ENDPOINT BUCKET COMMAND ARGS...
//   version | put FILE KEY | upload FILE KEY | get KEY FILE | read KEY FIRST LAST | list PREFIX PAGE | copy FROM TO
//   delete KEY... | presign KEY | presign-put KEY
"use strict";

const { createReadStream, createWriteStream, statSync } = require("node:fs");
const { pipeline } = require("node:stream/promises");
const {
  S3Client, CopyObjectCommand, DeleteObjectsCommand, GetObjectCommand, PutObjectCommand, paginateListObjectsV2,
} = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const [endpoint, Bucket, command, ...args] = process.argv.slice(2);
const s3 = new S3Client({ endpoint, region: process.env.AWS_DEFAULT_REGION, forcePathStyle: true });

const commands = {
  version() {
    console.log(`@aws-sdk/client-s3 ${require("@aws-sdk/client-s3/package.json").version} on Node ${process.version}`);
  },

  // A stream goes out in aws-chunked framing with a checksum behind it, even over plain HTTP.
  async put(file, Key) {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: createReadStream(file), ContentLength: statSync(file).size }));
  },

  async upload(file, Key) {
    await new Upload({ client: s3, params: { Bucket, Key, Body: createReadStream(file) } }).done();
  },

  async get(Key, file) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    await pipeline(Body, createWriteStream(file));
  },

  async read(Key, first, last) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, Range: `bytes=${first}-${last}` }));
    await pipeline(Body, process.stdout);
  },

  async list(Prefix, page) {
    const sizes = {};
    for await (const { Contents = [] } of paginateListObjectsV2({ client: s3, pageSize: Number(page) }, { Bucket, Prefix })) {
      for (const { Key, Size } of Contents) sizes[Key] = Size;
    }
    console.log(JSON.stringify(sizes));
  },

  // The SDK leaves the escaping of CopySource to its user.
  async copy(from, Key) {
    await s3.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${encodeURIComponent(from)}` }));
  },

  async delete(...keys) {
    const Objects = keys.map((Key) => ({ Key }));
    const { Deleted = [], Errors = [] } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    if (Deleted.length !== keys.length || Errors.length > 0) throw new Error(JSON.stringify({ Deleted, Errors }));
  },

  async presign(Key) {
    console.log(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 600 }));
  },

  async "presign-put"(Key) {
    console.log(await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 600 }));
  },
};

Promise.resolve(commands[command](...args)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
