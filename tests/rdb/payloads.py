"""What the tests of RDB share: data in every encoding of a redis-server, and payloads with a checksum that fits.

Standard library only.
"""

import random
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from harness import Client, ReplyError  # noqa: E402

YEAR_MS = 365 * 24 * 3600 * 1000
# Settings under which redis-server is filled, so that values come in all encodings.
FILLS = [
    {},
    {"list-max-listpack-size": "-1", "list-compress-depth": "1", "set-max-intset-entries": "0"},
    {
        "list-max-listpack-size": "3",
        "hash-max-listpack-entries": "0",
        "zset-max-listpack-entries": "0",
        "stream-node-max-entries": "7",
        "rdbcompression": "no",
    },
]


def fill(client: Client, chance: random.Random, prefix: str, kinds: set, scale: int):
    """Makes keys of the kinds in all size classes."""
    text = lambda n: bytes(chance.choice(b"abc \x00\xff\r\n") for _ in range(n))  # noqa: E731
    calls = []
    if "string" in kinds:
        values = ["", "0", "-1", "127", "128", "-32769", "2147483648", "9223372036854775807", "007", "1.5", "x" * 44]
        values += ["y" * 45, "z" * 70000, text(20), text(21), text(3000), bytes(range(256)) * 100]
        calls += [["SET", f"{prefix}string:{i}", value] for i, value in enumerate(values)]
        calls += [["APPEND", f"{prefix}string:appended", "12"], ["SETBIT", f"{prefix}string:bits", 100000, 1]]
        calls += [["PFADD", f"{prefix}string:sparse", *range(100)], ["PFADD", f"{prefix}string:dense", *range(5000)]]
    for count in [1, 2, 100, 128, 129, 512, 513, scale]:
        numbers = [chance.randrange(-(10 ** chance.randrange(1, 18)), 10**12) for _ in range(count)]
        for start in range(0, count, 1000):
            part = range(start, min(start + 1000, count))
            if "list" in kinds:
                calls.append(["RPUSH", f"{prefix}list:{count}", *(f"element {i}" if i % 3 else i for i in part)])
            if "set" in kinds:
                calls.append(["SADD", f"{prefix}set:{count}", *(f"member {i}" for i in part)])
                calls.append(["SADD", f"{prefix}set:ints:{count}", *(numbers[i] for i in part)])
                calls.append(["SADD", f"{prefix}set:small:{count}", *part])
            if "hash" in kinds:
                pairs = [word for i in part for word in (f"field {i}", f"v{i * 7}" if i % 2 else i)]
                calls.append(["HSET", f"{prefix}hash:{count}", *pairs])
            if "zset" in kinds:
                scored = [word for i in part for word in (chance.choice([i, i / 3, -i, "1e300"]), f"member {i}")]
                calls.append(["ZADD", f"{prefix}zset:{count}", *scored])
    for length in [1, 63, 64, 65, 4095, 4096, 9000, 70000]:
        long = text(length)
        if "list" in kinds:
            calls.append(["RPUSH", f"{prefix}list:long:{length}", long, "1", long, long])
        if "set" in kinds:
            calls.append(["SADD", f"{prefix}set:long:{length}", long, "1"])
        if "hash" in kinds:
            calls.append(["HSET", f"{prefix}hash:long:{length}", "f", long, long, "7"])
        if "zset" in kinds:
            calls.append(["ZADD", f"{prefix}zset:long:{length}", 1, long, "-inf", "low", "+inf", "high"])
    if "zset" in kinds:
        calls.append(["GEOADD", f"{prefix}zset:geo", "13.361389", "38.115556", "Palermo", "15.087", "37.5", "Catania"])
    if "stream" in kinds:
        calls += streams(chance, prefix, scale)
    for reply in client.pipeline(calls):
        if isinstance(reply, ReplyError):
            raise SystemExit(f"redis-server: {reply}")
    keys = client.call("KEYS", f"{prefix}*")
    for key in chance.sample(keys, len(keys) // 3):
        client.call("PEXPIREAT", key, int(time.time() * 1000) + chance.randrange(YEAR_MS, 9 * YEAR_MS))


def streams(chance: random.Random, prefix: str, scale: int) -> list:
    """Commands that make streams with and without groups, and with what was removed from them."""
    calls = []
    for count in [1, 10, 100, 101, scale // 4]:
        name = f"{prefix}stream:{count}"
        for i in range(count):
            fields = ["f", i, "g", f"value {i}"] if i % 5 else ["other", "x" * (i % 300)]
            calls.append(["XADD", name, f"{1000 + i // 3}-{i % 3 + 1}", *fields])
        calls.append(["XGROUP", "CREATE", name, "group", "0"])
        calls.append(["XGROUP", "CREATE", name, "other", "$"])
        calls.append(["XGROUP", "CREATECONSUMER", name, "group", "idle"])
        calls.append(["XREADGROUP", "GROUP", "group", "one", "COUNT", count // 3 + 1, "STREAMS", name, ">"])
        calls.append(["XREADGROUP", "GROUP", "group", "two", "COUNT", count // 3 + 1, "STREAMS", name, ">"])
        for i in range(0, count, 4):
            calls.append(["XACK" if i % 8 else "XDEL", name, *(["group"] if i % 8 else []), f"{1000 + i // 3}-{i % 3 + 1}"])
    calls += [["XADD", f"{prefix}stream:empty", "5-5", "f", "v"], ["XDEL", f"{prefix}stream:empty", "5-5"]]
    calls.append(["XADD", f"{prefix}stream:large", "18446744073709551615-7", "f", "v" * 100000])
    return calls


CRC_TABLE = []


def crc64(data: bytes) -> int:
    """Redis's checksum, written down a second time."""
    if not CRC_TABLE:
        for byte in range(256):
            crc = byte
            for _ in range(8):
                crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 if crc & 1 else crc >> 1
            CRC_TABLE.append(crc)
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def sealed(body: bytes) -> bytes:
    """A payload with a checksum that fits."""
    body += struct.pack("<H", 10)
    return body + struct.pack("<Q", crc64(body))


def run(text: bytes) -> bytes:
    """A string of an RDB file."""
    size = len(text)
    if size < 64:
        return bytes([size]) + text
    if size < 16384:
        return bytes([0x40 | size >> 8, size & 0xFF]) + text
    return b"\x80" + struct.pack(">I", size) + text


def ziplist(elements) -> bytes:
    """A ziplist of integers and short strings, as Redis made them before 7.0."""
    body, before, start = b"", 0, 10
    for element in elements:
        start = 10 + len(body)
        entry = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        if isinstance(element, int) and 0 <= element <= 12:
            entry += bytes([0xF1 + element])
        elif isinstance(element, int):
            entry += b"\xe0" + struct.pack("<q", element)
        elif len(element) < 64:
            entry += bytes([len(element)]) + element
        else:
            entry += bytes([0x40 | len(element) >> 8, len(element) & 0xFF]) + element
        body += entry
        before = len(entry)
    count = len(elements)
    return struct.pack("<IIH", 11 + len(body), start, count) + body + b"\xff"


def zipmap(pairs) -> bytes:
    """A zipmap of short strings, as Redis made them before 2.6."""
    body = b"".join(bytes([len(field)]) + field + bytes([len(value), 0]) + value for field, value in pairs)
    return bytes([len(pairs)]) + body + b"\xff"


def old_payloads() -> list:
    """Values in the forms that Redis 7.0 reads and no longer writes, without their ends."""
    words = [b"one", 2, b"three", 4, b"x" * 70, 70000, b""]
    pairs = [b"a", 1, b"b", b"text", b"c", -5]
    scores = [b"a", 1, b"b", b"2.5", b"c", 70000]
    texts = [b"one", b"2", b"three", b"x" * 70]
    lines = b"".join(map(run, texts))
    return [
        b"\x01\x04" + lines,
        b"\x02\x04" + lines,
        b"\x03\x03" + run(b"a") + b"\x011" + run(b"b") + b"\x032.5" + run(b"c") + b"\xfe",
        b"\x04\x02" + lines,
        b"\x05\x02" + run(b"a") + struct.pack("<d", 1.5) + run(b"b") + struct.pack("<d", float("inf")),
        b"\x09" + run(zipmap([(b"a", b"1"), (b"b", b"text")])),
        b"\x0a" + run(ziplist(words)),
        b"\x0c" + run(ziplist(scores)),
        b"\x0d" + run(ziplist(pairs)),
        b"\x0e\x02" + run(ziplist(words)) + run(ziplist([1, 2, 3])),
    ]
