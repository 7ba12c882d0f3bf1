"""redis-py with its default settings against the server at port KVORUM_PORT."""

import os
import time
import unittest

import redis

PORT = int(os.environ["KVORUM_PORT"])
BINARY = bytes(range(256)) + b"\r\n$-1\r\n\0"


class Clients(unittest.TestCase):
    """What an application does in its first minutes."""

    protocol = 2

    def setUp(self):
        self.r = redis.Redis(port=PORT, protocol=self.protocol)
        self.r.flushall()

    def tearDown(self):
        self.r.close()

    def test_handshake_names_the_library(self):
        self.assertTrue(self.r.ping())
        self.assertEqual(self.r.client_setname("smoke"), True)
        self.assertIn(self.r.client_getname(), ("smoke", b"smoke"))
        mine = [client for client in self.r.client_list() if client["name"] == "smoke"]
        self.assertEqual(len(mine), 1)
        # Redis before 7.2 has no CLIENT SETINFO, and clients get over that.
        self.assertEqual(mine[0].get("lib-name", "redis-py").split("(")[0], "redis-py")

    def test_strings(self):
        self.assertTrue(self.r.set("k", "v"))
        self.assertEqual(self.r.get("k"), b"v")
        self.assertIsNone(self.r.get("absent"))
        self.assertIsNone(self.r.set("k", "w", nx=True))
        self.assertEqual(self.r.set("k", "w", get=True), b"v")
        self.assertEqual(self.r.append("k", "xyz"), 4)
        self.assertEqual(self.r.getrange("k", 1, 2), b"xy")
        self.assertTrue(self.r.mset({"a": 1, "b": 2}))
        self.assertEqual(self.r.mget("a", "absent", "b"), [b"1", None, b"2"])
        self.assertEqual(self.r.incr("a", 5), 6)
        self.assertEqual(self.r.incrbyfloat("a", 0.5), 6.5)
        self.assertEqual(self.r.delete("a", "b", "absent"), 2)

    def test_binary_and_large_values(self):
        self.r.set(BINARY, BINARY)
        self.assertEqual(self.r.get(BINARY), BINARY)
        large = os.urandom(1 << 20) * 8
        self.r.set("large", large)
        self.assertEqual(self.r.get("large"), large)
        self.assertEqual(self.r.strlen("large"), len(large))

    def test_hashes(self):
        self.assertEqual(self.r.hset("h", mapping={"a": 1, "b": BINARY}), 2)
        self.assertEqual(self.r.hgetall("h"), {b"a": b"1", b"b": BINARY})
        self.assertEqual(self.r.hmget("h", "b", "c"), [BINARY, None])
        self.assertEqual(self.r.hincrby("h", "a", 41), 42)
        self.assertTrue(self.r.hexists("h", "a"))
        self.assertEqual(sorted(self.r.hkeys("h")), [b"a", b"b"])
        self.assertEqual(dict(self.r.hscan_iter("h")), {b"a": b"42", b"b": BINARY})
        self.assertEqual(self.r.hdel("h", "a", "b"), 2)
        self.assertFalse(self.r.exists("h"))

    def test_expiry(self):
        self.r.set("k", "v", px=50)
        self.assertGreater(self.r.pttl("k"), 0)
        time.sleep(0.1)
        self.assertIsNone(self.r.get("k"))
        self.r.set("k", "v")
        self.assertEqual(self.r.ttl("k"), -1)
        self.assertTrue(self.r.expire("k", 100))
        self.assertIn(self.r.ttl("k"), range(98, 101))
        self.assertTrue(self.r.persist("k"))
        self.assertEqual(self.r.ttl("k"), -1)

    def test_pipeline(self):
        with self.r.pipeline(transaction=False) as pipe:
            for i in range(1000):
                pipe.set(f"key:{i}", i).get(f"key:{i}")
            replies = pipe.execute()
        self.assertEqual(replies[1::2], [str(i).encode() for i in range(1000)])

    def test_scan(self):
        self.r.mset({f"key:{i}": i for i in range(1000)})
        self.r.hset("other", "f", "v")
        self.assertEqual(len(set(self.r.scan_iter("key:*", count=100))), 1000)
        self.assertEqual(list(self.r.scan_iter(_type="hash", count=1000)), [b"other"])
        self.assertEqual(self.r.dbsize(), 1001)

    def test_errors(self):
        self.r.set("k", "text")
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            self.r.incr("k")
        with self.assertRaisesRegex(redis.ResponseError, "WRONGTYPE"):
            self.r.hget("k", "f")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.r.execute_command("NOSUCHCOMMAND")
        with self.r.pipeline(transaction=False) as pipe:
            replies = pipe.incr("k").set("k", 1).incr("k").execute(raise_on_error=False)
        self.assertIsInstance(replies[0], redis.ResponseError)
        self.assertEqual(replies[1:], [True, 2])

    def test_info_and_config(self):
        info = self.r.info()
        self.assertRegex(info["redis_version"], r"^\d+\.\d+\.\d+$")
        self.assertGreater(info["used_memory"], 0)
        self.r.set("k", "v")
        self.assertEqual(self.r.info("keyspace")["db0"]["keys"], 1)
        self.assertIn("maxmemory", self.r.config_get("maxmemory*"))

    def test_databases(self):
        with redis.Redis(port=PORT, db=3, protocol=self.protocol) as other:
            other.set("k", "three")
            self.assertIsNone(self.r.get("k"))
            self.assertEqual(other.get("k"), b"three")


class Resp3(Clients):
    """The same with RESP3."""

    protocol = 3

    def test_hello(self):
        self.assertEqual(self.r.execute_command("HELLO")[b"proto"], 3)


if __name__ == "__main__":
    unittest.main()
