// node-redis' cluster client with its default settings against the nodes at KVORUM_PORTS.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";

const { createCluster } = createRequire(process.env.KVORUM_NODE_MODULES + "/")("redis");
const ports = JSON.parse(process.env.KVORUM_PORTS);
const cluster = createCluster({ rootNodes: ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) });
cluster.on("error", (error) => console.error(error));

before(() => cluster.connect());
after(() => cluster.close());

test("finds all nodes", () => {
  assert.deepEqual(new Set(cluster.masters.map((node) => node.port)), new Set(ports));
});

test("keys in all slots", async () => {
  const numbers = Array.from({ length: 500 }, (_, i) => i);
  await Promise.all(numbers.map((n) => cluster.set(`k:${n}`, String(n))));
  assert.deepEqual(await Promise.all(numbers.map((n) => cluster.get(`k:${n}`))), numbers.map(String));
});

test("hash tags", async () => {
  await cluster.mSet({ "{tag}:a": "1", "{tag}:b": "2" });
  assert.deepEqual(await cluster.mGet(["{tag}:a", "{tag}:b"]), ["1", "2"]);
});

test("hashes and errors", async () => {
  assert.equal(await cluster.hSet("node-redis:h", { a: 1, b: "two" }), 2);
  assert.deepEqual({ ...(await cluster.hGetAll("node-redis:h")) }, { a: "1", b: "two" });
  await assert.rejects(cluster.incr("node-redis:h"), /WRONGTYPE/);
});

test("reads from replicas", async (context) => {
  // As with ioredis: it would not say READONLY to a node that it has met as a leader.
  const useReplicas = process.env.KVORUM_ROUTING === "proxy";
  const replicas = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${ports[0]}` }], useReplicas });
  context.after(() => replicas.destroy());
  await replicas.connect();
  for (let n = 0; n < 100; n++) {
    await cluster.set(`r:${n}`, String(n));
    assert.equal(await replicas.get(`r:${n}`), String(n));
  }
});
