// node-redis with its default settings, and with RESP3, against the server at port KVORUM_PORT.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRequire } from "node:module";

const { createClient, RESP_TYPES } = createRequire(process.env.KVORUM_NODE_MODULES + "/")("redis");
const url = `redis://127.0.0.1:${process.env.KVORUM_PORT}`;

for (const RESP of [2, 3]) {
  describe(`RESP${RESP}`, () => {
    let client;
    before(async () => {
      client = createClient({ url, RESP });
      client.on("error", (error) => assert.fail(error));
      await client.connect();
    });
    after(() => client.close());
    beforeEach(() => client.flushAll());

    test("handshake names the library", async () => {
      assert.equal(await client.ping(), "PONG");
      // Redis before 7.2 has no CLIENT SETINFO, and clients get over that.
      const { libName } = await client.clientInfo();
      assert.match(libName ?? "node-redis", /node-redis/);
    });

    test("strings", async () => {
      assert.equal(await client.set("k", "v"), "OK");
      assert.equal(await client.get("k"), "v");
      assert.equal(await client.get("absent"), null);
      assert.equal(await client.set("k", "w", { condition: "NX" }), null);
      assert.equal(await client.incrBy("n", 41), 41);
      assert.deepEqual(await client.mGet(["k", "absent", "n"]), ["v", null, "41"]);
    });

    test("binary and large values", async () => {
      const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const large = randomBytes(8 << 20);
      await client.set("large", large);
      assert.ok((await buffers.get("large")).equals(large));
      const binary = Buffer.from("\0\r\n$-1\r\n\xff", "latin1");
      await client.set(binary, binary);
      assert.deepEqual(await buffers.get(binary), binary);
    });

    test("hashes", async () => {
      assert.equal(await client.hSet("h", { a: 1, b: "two" }), 2);
      assert.deepEqual({ ...(await client.hGetAll("h")) }, { a: "1", b: "two" });
      assert.deepEqual(await client.hmGet("h", ["b", "c"]), ["two", null]);
      assert.equal(await client.hIncrBy("h", "a", 41), 42);
      assert.equal(await client.hDel("h", ["a", "b"]), 2);
      assert.equal(await client.exists("h"), 0);
    });

    test("expiry", async () => {
      await client.set("k", "v", { expiration: { type: "PX", value: 50 } });
      assert.ok((await client.pTTL("k")) > 0);
      await sleep(100);
      assert.equal(await client.get("k"), null);
    });

    test("automatic pipelining keeps the order of replies", async () => {
      const writes = Array.from({ length: 1000 }, (_, i) => client.set(`key:${i}`, `${i}`));
      const reads = Array.from({ length: 1000 }, (_, i) => client.get(`key:${i}`));
      await Promise.all(writes);
      assert.deepEqual(await Promise.all(reads), Array.from({ length: 1000 }, (_, i) => `${i}`));
    });

    test("scan", async () => {
      await client.mSet(Array.from({ length: 1000 }, (_, i) => [`key:${i}`, `${i}`]));
      const seen = new Set();
      for await (const keys of client.scanIterator({ MATCH: "key:*", COUNT: 100 })) keys.forEach((key) => seen.add(key));
      assert.equal(seen.size, 1000);
    });

    test("errors and INFO", async () => {
      await client.set("k", "text");
      await assert.rejects(client.incr("k"), /not an integer/);
      await assert.rejects(client.hGet("k", "f"), /WRONGTYPE/);
      await assert.rejects(client.sendCommand(["NOSUCHCOMMAND"]), /unknown command/);
      assert.match(await client.info(), /used_memory:\d+/);
    });
  });
}
