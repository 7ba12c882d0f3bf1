"""What the test and benchmark tools share: where things are, a server process, a small client.

A *server* is a command line and nothing else, so every tool runs as well against Debian's
redis-server as against kvorum: that is how the tools themselves are tested, and how a comparison is
made. Both servers take Redis's setting names as `--name value`.

Standard library only. Nothing here talks to any address but 127.0.0.1.
"""

import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("hash", "lsm", "btree")
HOST = "127.0.0.1"


def cache_dir() -> Path:
    """kvorum's cache directory: everything that may be thrown away and made again."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "kvorum"
    path.mkdir(parents=True, exist_ok=True)
    return path


def target_dir() -> Path:
    """Cargo's target directory, as the Makefile sets it."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or cache_dir() / "target")


def kvorum_binary() -> str:
    """The program under test: `$KVORUM_BIN`, or the release build."""
    named = os.environ.get("KVORUM_BIN")
    path = Path(named) if named else target_dir() / "release" / "kvorum"
    if not path.is_file():
        raise SystemExit(f"no kvorum program at {path}: run `make build`, or name one in KVORUM_BIN")
    return str(path)


# Below the ports that the kernel gives to outgoing connections: one of those could take the port of a server
# that is not up yet, or that was killed and comes back.
PORTS = range(11_000, 32_000)
ports_given = set()


def free_port() -> int:
    """A TCP port that nothing uses now, and that this process was not given before."""
    for port in random.SystemRandom().sample(PORTS, 1000):
        if port in ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        ports_given.add(port)
        return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop}")


class ReplyError(Exception):
    """An error reply."""


class Disconnected(Exception):
    """The connection ended before the reply was complete."""


class Client:
    """A blocking RESP2/RESP3 connection that keeps no state but its socket and buffer."""

    def __init__(self, port: int, timeout_s: float = 30.0):
        self.socket = socket.create_connection((HOST, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection."""
        self.socket.close()

    @staticmethod
    def encode(args) -> bytes:
        """One request as a multibulk."""
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            if not isinstance(arg, bytes):
                arg = str(arg).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
        return b"".join(parts)

    def call(self, *args):
        """Sends one command; returns its reply, or raises [ReplyError]."""
        reply = self.pipeline([args])[0]
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands) -> list:
        """Sends commands in one write and returns their replies; an error reply is an item."""
        self.send(b"".join(map(self.encode, commands)))
        return [self.read() for _ in commands]

    def send(self, data: bytes):
        """Sends bytes as they are."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def _fill(self):
        if self.at > 1 << 16:
            del self.buffer[: self.at]
            self.at = 0
        try:
            data = self.socket.recv(1 << 16)
        except socket.timeout:
            raise
        except OSError as error:
            raise Disconnected(str(error)) from error
        if not data:
            raise Disconnected("end of stream")
        self.buffer += data

    def _line(self) -> bytes:
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = bytes(self.buffer[self.at : end])
                self.at = end + 2
                return line
            self._fill()

    def read(self):
        """Reads one reply."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind in b"$=!":
            length = int(rest)
            if length < 0:
                return None
            while len(self.buffer) - self.at < length + 2:
                self._fill()
            value = bytes(self.buffer[self.at : self.at + length])
            self.at += length + 2
            return ReplyError(value.decode(errors="replace")) if kind == b"!" else value
        if kind in b"*~>":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {_hashable(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind == b"(":
            return int(rest)
        raise Disconnected(f"no reply begins with {line[:40]!r}")


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


def info(client: Client, section: str = "everything") -> dict:
    """INFO as a dictionary of strings."""
    text = client.call("INFO", section).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


class Server:
    """A server process on a free loopback port.

    `kind` is "kvorum" or "redis"; `settings` are Redis's settings by name. `prefix` is a command that ends by
    executing the one that follows it.
    """

    def __init__(self, kind: str, directory, settings=None, engine=None, port=None, prefix=()):
        self.kind = kind
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.settings = dict(settings or {})
        self.engine = engine if kind == "kvorum" else None
        self.port = port or free_port()
        self.prefix = list(prefix)
        self.process = None

    @property
    def name(self) -> str:
        """What reports call this server."""
        return f"kvorum {self.engine or 'default'}" if self.kind == "kvorum" else "redis"

    def command(self) -> list:
        """The command line."""
        if self.kind == "redis":
            line = [*self.prefix, "redis-server", "--bind", HOST, "--daemonize", "no"]
            defaults = {"save": ""}
        else:
            line = [*self.prefix, kvorum_binary(), "server"]
            defaults = {"default-engine": self.engine} if self.engine else {}
        for name, value in {"port": self.port, "dir": self.directory, **defaults, **self.settings}.items():
            line += [f"--{name}", str(value)]
        return line

    def start(self, ready_within_s: float = 60.0):
        """Starts the process and waits until it answers PING."""
        self.log_path = self.directory / "server.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + ready_within_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode} at its start:\n{self.log_tail()}")
            try:
                with Client(self.port, timeout_s=5) as client:
                    if client.call("PING") == "PONG":
                        return self
            except (OSError, Disconnected, ReplyError):
                pass
            time.sleep(0.005)
        self.kill()
        raise RuntimeError(f"{self.name} did not answer PING within {ready_within_s:.0f} s:\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        """The end of what the server printed."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self, within_s: float = 60.0) -> int:
        """Asks the process to end with SIGTERM, and kills it when it does not. Returns its status."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"{self.name} did not end within {within_s:.0f} s of SIGTERM:\n{self.log_tail()}")
        return self.process.returncode if self.process else 0

    def kill(self):
        """Kills the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def client(self, timeout_s: float = 30.0) -> Client:
        """A new connection."""
        return Client(self.port, timeout_s)

    def cpu_seconds(self) -> float:
        """CPU time of all the process's threads since its start."""
        # Fields 14 and 15 of stat, counted after the parenthesised command name; see proc(5).
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self, field: str = "VmRSS") -> int:
        """Resident memory, or another field of the process's status: `RssAnon` leaves out mapped files."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        return 0

    def disk_bytes(self, part: str = "") -> int:
        """Bytes on disk of everything in the server's directory, or in a part of it."""
        return sum(path.stat().st_blocks * 512 for path in (self.directory / part).rglob("*") if path.is_file())


class Cluster:
    """Several nodes on free loopback ports, made one by `kvorum cluster create`."""

    def __init__(self, directory, nodes=3, shards=8, replicas=3, settings=None, engine=None):
        self.shards, self.replicas = shards, replicas
        self.nodes = []
        for number in range(1, nodes + 1):
            own = {"cluster-enabled": "yes", "cluster-port": free_port(), **(settings or {})}
            self.nodes.append(Server("kvorum", Path(directory) / f"node-{number}", own, engine))

    def addresses(self) -> list:
        """Where clients reach the nodes."""
        return [f"{HOST}:{node.port}" for node in self.nodes]

    def cli(self, *args, within_s: float = 120.0) -> str:
        """Runs `kvorum cluster …` and returns what it prints; raises RuntimeError with its error."""
        command = [kvorum_binary(), "cluster", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def create(self, shards=None) -> str:
        """Makes the nodes one cluster."""
        count = str(shards or self.shards)
        return self.cli("create", "--nodes", ",".join(self.addresses()), "--shards", count, "--replicas", self.replicas)

    def status(self, node=None) -> dict:
        """What a node that runs says of the cluster."""
        node = node or next(node for node in self.nodes if node.alive)
        return json.loads(self.cli("status", "--node", f"{HOST}:{node.port}", "--json"))

    def wait_healthy(self, within_s: float = 60.0, lag: int = 0) -> dict:
        """Waits until all nodes are up, every shard has a leader, and no replica lacks more than `lag` entries."""
        deadline, status = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            try:
                status = self.status()
                up = all(node["up"] for node in status["nodes"])
                replicas = [replica["lag"] for shard in status["shards"] for replica in shard["replicas"]]
                led = all(shard["leader"] for shard in status["shards"])
                if up and led and all(behind is not None and behind <= lag for behind in replicas):
                    return status
            except (RuntimeError, StopIteration, subprocess.TimeoutExpired, KeyError):
                # A node that has just started does not know its cluster yet.
                pass
            time.sleep(0.1)
        raise RuntimeError(f"the cluster is not healthy after {within_s:.0f} s: {status}")

    def start(self):
        """Starts all nodes and makes them one cluster."""
        for node in self.nodes:
            node.start()
        self.create()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        for node in self.nodes:
            node.kill()


def machine() -> dict:
    """What a benchmark was run on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / (1 << 20)),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
    }


def require(*programs):
    """Ends with a clear message when a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; run `make setup`")
