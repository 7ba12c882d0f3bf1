"""Puts to etcd, over gRPC as its own clients do, one request at a time on each of many connections.

etcd's `benchmark` is not in Debian's packages, and its JSON gateway would cost etcd a second server in the same process. What a
unary call needs of HTTP/2 (RFC 9113) is little: a HEADERS frame that never changes, a DATA frame, and frames to
skip until the answer's trailers. Header fields are sent as literals (RFC 7541, 6.2.2), so there is no state to keep.
Standard library only.
"""

import random
import selectors
import socket
import struct
import time

DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Received bytes after which the server is told that there is room again.
WINDOW_STEP = 16_000


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame: length, type, flags, stream, payload."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field that is not put into the table."""
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protocol buffer's message."""
    assert len(value) < 1 << 14
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


class Connection:
    """One connection with at most one call under way."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fields = {
            ":method": "POST", ":scheme": "http", ":path": "/etcdserverpb.KV/Put", ":authority": "%s:%d" % address,
            "content-type": "application/grpc", "te": "trailers",
        }  # fmt: skip
        self.headers = b"".join(literal(*pair) for pair in fields.items())
        self.buffer, self.stream, self.received, self.answered = b"", -1, 0, False
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))

    def put(self, key: bytes, value: bytes):
        """Sends a call."""
        self.stream += 2
        message = field(1, key) + field(2, value)
        data = struct.pack(">BI", 0, len(message)) + message
        self.answered = False
        self.begun = time.perf_counter()
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, self.stream, self.headers) + frame(DATA, END_STREAM, self.stream, data)
        )

    def take(self):
        """Reads what there is; answers True or False when the call is over, as it succeeded or not, else None."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise SystemExit("etcd has closed a connection")
        self.buffer += data
        over, reply, at = None, b"", 0
        while len(self.buffer) - at >= 9:
            length = int.from_bytes(self.buffer[at : at + 3], "big")
            if len(self.buffer) - at < 9 + length:
                break
            kind, flags = self.buffer[at + 3], self.buffer[at + 4]
            payload = self.buffer[at + 9 : at + 9 + length]
            at += 9 + length
            if kind == DATA:
                self.answered |= length > 5
                self.received += length
                if self.received > WINDOW_STEP:
                    reply += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self.received))
                    self.received = 0
            elif kind == HEADERS and flags & END_STREAM:
                over = self.answered
            elif kind == SETTINGS and not flags & ACK:
                reply += frame(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                reply += frame(PING, ACK, 0, payload)
            elif kind == GOAWAY:
                raise SystemExit(f"etcd sends a connection away: {payload!r}")
        self.buffer = self.buffer[at:]
        if reply:
            self.socket.sendall(reply)
        return over


def puts(addresses, clients: int, seconds: float, keys: int, value_bytes: int):
    """Puts random keys from so many connections for a time; returns latencies in seconds, failures and the time it took."""
    waiting = selectors.DefaultSelector()
    chance, value = random.Random(1), b"x" * value_bytes
    name = lambda: b"key:%012d" % chance.randrange(keys)  # noqa: E731
    connections = [Connection(addresses[number % len(addresses)]) for number in range(clients)]
    latencies, failures = [], 0
    begun = time.perf_counter()
    for connection in connections:
        waiting.register(connection.socket, selectors.EVENT_READ, connection)
        connection.put(name(), value)
    under_way = clients
    while under_way:
        for key, _ in waiting.select():
            connection = key.data
            over = connection.take()
            if over is None:
                continue
            now = time.perf_counter()
            latencies.append(now - connection.begun)
            failures += not over
            if now - begun < seconds:
                connection.put(name(), value)
            else:
                under_way -= 1
                waiting.unregister(connection.socket)
                connection.socket.close()
    return latencies, failures, time.perf_counter() - begun
