// ioredis' cluster client with its default settings against the nodes at KVORUM_PORTS.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";

const { Cluster } = createRequire(process.env.KVORUM_NODE_MODULES + "/")("ioredis");
const ports = JSON.parse(process.env.KVORUM_PORTS);
const cluster = new Cluster(ports.map((port) => ({ host: "127.0.0.1", port })));

// Until it is ready it knows no nodes but those it was given.
before(async () => {
  await cluster.ping();
  await Promise.all(cluster.nodes("master").map((node) => node.flushall()));
});
after(() => cluster.disconnect());

test("finds all nodes", async () => {
  assert.equal(await cluster.ping(), "PONG");
  assert.deepEqual(new Set(cluster.nodes("master").map((node) => node.options.port)), new Set(ports));
});

test("keys in all slots", async () => {
  const numbers = Array.from({ length: 500 }, (_, i) => i);
  await Promise.all(numbers.map((n) => cluster.set(`k:${n}`, n)));
  assert.deepEqual(await Promise.all(numbers.map((n) => cluster.get(`k:${n}`))), numbers.map(String));
});

test("hash tags", async () => {
  assert.equal(await cluster.mset("{tag}:a", 1, "{tag}:b", 2), "OK");
  assert.deepEqual(await cluster.mget("{tag}:a", "{tag}:b"), ["1", "2"]);
});

test("a pipeline of one slot", async () => {
  const replies = await cluster.pipeline().set("{p}:1", 1).incr("{p}:1").get("{p}:1").exec();
  assert.deepEqual(replies, [[null, "OK"], [null, 2], [null, "2"]]);
});

test("hashes and errors", async () => {
  assert.equal(await cluster.hset("h", { a: 1, b: "two" }), 2);
  assert.deepEqual(await cluster.hgetall("h"), { a: "1", b: "two" });
  await assert.rejects(cluster.incr("h"), /WRONGTYPE/);
});

test("reads from replicas", async (context) => {
  // It asks for a replica's answer (READONLY) only where it has met a node as a replica first, and every node here
  // leads something: a node that redirects would send it round until it gives up. README.md says so.
  const scaleReads = process.env.KVORUM_ROUTING === "proxy" ? "all" : "master";
  const replicas = new Cluster([{ host: "127.0.0.1", port: ports[0] }], { scaleReads });
  // Also after a failure: a client that stays connected keeps the process alive.
  context.after(() => replicas.disconnect());
  for (let n = 0; n < 100; n++) {
    await cluster.set(`r:${n}`, n);
    assert.equal(await replicas.get(`r:${n}`), String(n));
  }
});

test("every node is walked with SCAN", async () => {
  await Promise.all(Array.from({ length: 300 }, (_, n) => cluster.set(`s:${n}`, n)));
  const found = new Set();
  for (const node of cluster.nodes("master")) {
    for await (const keys of node.scanStream({ match: "s:*", count: 100 })) keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, 300);
});
