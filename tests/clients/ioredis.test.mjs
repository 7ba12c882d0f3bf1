// ioredis with its default settings against the server at port KVORUM_PORT.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRequire } from "node:module";

const Redis = createRequire(process.env.KVORUM_NODE_MODULES + "/")("ioredis");
const redis = new Redis({ port: Number(process.env.KVORUM_PORT) });
const binary = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.from("\r\n$-1\r\n")]);

beforeEach(() => redis.flushall());
after(() => redis.disconnect());

test("connects and passes the ready check, which reads INFO", async () => {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(redis.status, "ready");
  assert.match(await redis.info(), /redis_version:\d+\.\d+/);
});

test("strings", async () => {
  assert.equal(await redis.set("k", "v"), "OK");
  assert.equal(await redis.get("k"), "v");
  assert.equal(await redis.get("absent"), null);
  assert.equal(await redis.set("k", "w", "NX"), null);
  assert.equal(await redis.incrby("n", 41), 41);
  assert.deepEqual(await redis.mget("k", "absent", "n"), ["v", null, "41"]);
});

test("binary and large values", async () => {
  await redis.set(binary, binary);
  assert.deepEqual(await redis.getBuffer(binary), binary);
  const large = randomBytes(8 << 20);
  await redis.set("large", large);
  assert.ok((await redis.getBuffer("large")).equals(large));
});

test("hashes", async () => {
  assert.equal(await redis.hset("h", { a: 1, b: "two" }), 2);
  assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "two" });
  assert.deepEqual(await redis.hmget("h", "b", "c"), ["two", null]);
  assert.equal(await redis.hincrby("h", "a", 41), 42);
  assert.equal(await redis.hdel("h", "a", "b"), 2);
  assert.equal(await redis.exists("h"), 0);
});

test("expiry", async () => {
  await redis.set("k", "v", "PX", 50);
  assert.ok((await redis.pttl("k")) > 0);
  await sleep(100);
  assert.equal(await redis.get("k"), null);
});

test("pipelines, with an error in the middle", async () => {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 1000; i++) pipeline.set(`key:${i}`, i).get(`key:${i}`);
  const replies = await pipeline.exec();
  assert.deepEqual(replies.filter((_, i) => i % 2), Array.from({ length: 1000 }, (_, i) => [null, String(i)]));
  const mixed = await redis.pipeline().set("k", "text").incr("k").get("k").exec();
  assert.match(mixed[1][0].message, /not an integer/);
  assert.deepEqual(mixed[2], [null, "text"]);
});

test("scan streams", async () => {
  await redis.mset(...Array.from({ length: 1000 }, (_, i) => [`key:${i}`, i]).flat());
  const seen = new Set();
  for await (const keys of redis.scanStream({ match: "key:*", count: 100 })) keys.forEach((key) => seen.add(key));
  assert.equal(seen.size, 1000);
});

test("errors", async () => {
  await redis.set("k", "text");
  await assert.rejects(redis.hget("k", "f"), /WRONGTYPE/);
  await assert.rejects(redis.call("NOSUCHCOMMAND"), /unknown command/);
});
