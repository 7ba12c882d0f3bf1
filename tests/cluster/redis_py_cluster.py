"""redis-py's cluster client with its default settings against the nodes at KVORUM_PORTS."""

import json
import os
import unittest

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ResponseError

PORTS = json.loads(os.environ["KVORUM_PORTS"])


class ClusterClient(unittest.TestCase):
    """What an application that was written for Redis Cluster does."""

    def setUp(self):
        self.r = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port) for port in PORTS])
        self.r.flushall(target_nodes=RedisCluster.PRIMARIES)

    def tearDown(self):
        self.r.close()

    def test_finds_all_nodes_and_slots(self):
        self.assertEqual({node.port for node in self.r.get_primaries()}, set(PORTS))
        self.assertEqual(len(self.r.nodes_manager.slots_cache), 16384)
        self.assertTrue(self.r.ping(target_nodes=RedisCluster.ALL_NODES))

    def test_keys_in_all_slots(self):
        for number in range(500):
            self.assertTrue(self.r.set(f"k:{number}", number))
        for number in range(500):
            self.assertEqual(self.r.get(f"k:{number}"), str(number).encode())
        self.assertEqual(self.r.delete(*(f"k:{number}" for number in range(100))), 100)

    def test_many_keys_at_once(self):
        self.r.mset_nonatomic({f"m:{number}": number for number in range(200)})
        values = self.r.mget_nonatomic([f"m:{number}" for number in range(200)])
        self.assertEqual(values, [str(number).encode() for number in range(200)])

    def test_hash_tags(self):
        self.assertTrue(self.r.mset({"{tag}:a": 1, "{tag}:b": 2}))
        self.assertEqual(self.r.mget("{tag}:a", "{tag}:b"), [b"1", b"2"])
        self.assertTrue(self.r.rename("{tag}:a", "{tag}:c"))
        with self.assertRaises(Exception):
            self.r.rename("{tag}:c", "elsewhere")

    def test_pipelines(self):
        pipeline = self.r.pipeline()
        for number in range(300):
            pipeline.set(f"p:{number}", number)
            pipeline.incr(f"p:{number}")
        replies = pipeline.execute()
        self.assertEqual(replies[1::2], [number + 1 for number in range(300)])

    def test_scan(self):
        for number in range(300):
            self.r.set(f"s:{number}", number)
        # Each node is walked; a proxy shows the whole keyspace at each.
        self.assertEqual(len(set(self.r.scan_iter("s:*"))), 300)

    def test_hashes_and_errors(self):
        self.assertEqual(self.r.hset("h", mapping={"a": 1, "b": 2}), 2)
        self.assertEqual(self.r.hgetall("h"), {b"a": b"1", b"b": b"2"})
        with self.assertRaisesRegex(ResponseError, "WRONGTYPE|wrong kind"):
            self.r.incr("h")

    def test_reads_from_replicas(self):
        replicas = RedisCluster(host="127.0.0.1", port=PORTS[0], read_from_replicas=True)
        for number in range(200):
            self.r.set(f"r:{number}", number)
            self.assertEqual(replicas.get(f"r:{number}"), str(number).encode())
        replicas.close()


if __name__ == "__main__":
    unittest.main()
