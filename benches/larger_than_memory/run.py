#!/usr/bin/env python3
"""Measures a data set that is several times larger than the memory its server may use, and writes RESULTS.md.

    make bench-large                                          512 MiB of memory, 2 GiB of values, LSM and B+ tree
    make bench-large ARGS="--engines btree --limit-mib 256 --times 8 --seconds 10"

A server per engine runs in a control group with a memory limit, so that what it reads comes from the disk. Values
of a kilobyte cannot be compressed and tell which key and which write they belong to: every reply is checked. Clients
are processes that send one request at a time; they share the machine's cores with the server.
"""

import argparse
import json
import mmap
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "scripts")]
import report  # noqa: E402
from harness import Client, Disconnected, ReplyError, Server, cache_dir, machine  # noqa: E402
from limit import MemoryLimit  # noqa: E402

MIB = 1 << 20
ENGINES = ("lsm", "btree")
VALUE_BYTES = 1024
# Random bytes that values are cut from, far more than a compressor looks at together.
NOISE = random.Random(1).randbytes(8 * MIB)
LOAD_PIPELINE = 100
RANGE_KEYS = 100


def key(number: int) -> bytes:
    """The name of a key."""
    return b"key:%012d" % number


def value(number: int, write: int) -> bytes:
    """What the `write`th SET of a key puts there."""
    head = b"%012d:%08d:" % (number, write)
    at = (number * 7919 + write * 104_729) % (len(NOISE) - VALUE_BYTES)
    return head + NOISE[at : at + VALUE_BYTES - len(head)]


def check(number: int, found):
    """Ends the run unless `found` is a value that was once written to the key."""
    if found is None or found != value(number, int(found[13:21])):
        raise SystemExit(f"{key(number).decode()} holds {found if found is None else found[:40]}")


class Worker:
    """One client process: writes only keys of its own, reads all."""

    def __init__(self, port: int, options, place: int):
        self.keys, self.seconds = options.keys, options.seconds
        self.place, self.workers = place, options.clients
        self.client = Client(port, timeout_s=120)
        self.random = random.Random(place)
        self.written = {}

    def load(self) -> list:
        """Sets every key of this worker's share of the range, once; in order, as a bulk load comes."""
        share = range(self.keys * self.place // self.workers, self.keys * (self.place + 1) // self.workers)
        for begin in range(share.start, share.stop, LOAD_PIPELINE):
            numbers = range(begin, min(begin + LOAD_PIPELINE, share.stop))
            for reply in self.client.pipeline([("SET", key(number), value(number, 0)) for number in numbers]):
                if reply != "OK":
                    raise SystemExit(f"SET answered {reply}")
        return []

    def timed(self, act) -> list:
        """Latencies in seconds of acts one after the other."""
        latencies, end = [], time.perf_counter() + self.seconds
        begun = time.perf_counter()
        while begun < end:
            act()
            now = time.perf_counter()
            latencies.append(now - begun)
            begun = now
        return latencies

    def get(self) -> list:
        """GETs of keys chosen at random over all of them."""

        def act():
            number = self.random.randrange(self.keys)
            check(number, self.client.call("GET", key(number)))

        return self.timed(act)

    def set(self) -> list:
        """SETs of keys that are there, chosen at random."""

        def act():
            number = self.random.randrange(self.keys // self.workers) * self.workers + self.place
            write = self.written.get(number, 0) + 1
            self.client.call("SET", key(number), value(number, write))
            self.written[number] = write

        return self.timed(act)

    def mixed(self) -> list:
        """Nine GETs to a SET."""
        latencies, end = [], time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            number = self.random.randrange(self.keys // self.workers) * self.workers + self.place
            write = self.written.get(number, 0)
            begun = time.perf_counter()
            if self.random.random() < 0.1:
                self.client.call("SET", key(number), value(number, write + 1))
                self.written[number] = write + 1
            elif self.client.call("GET", key(number)) != value(number, write):
                raise SystemExit(f"{key(number).decode()} does not hold its last write")
            latencies.append(time.perf_counter() - begun)
        return latencies

    def keyrange(self) -> list:
        """A hundred keys in order with their values, from a random place."""

        def act():
            number = self.random.randrange(self.keys - RANGE_KEYS)
            found = self.client.call("KEYRANGE", b"[" + key(number), "+", "LIMIT", RANGE_KEYS, "WITHVALUES")
            names, values = found[0::2], found[1::2]
            if names != [key(number + step) for step in range(RANGE_KEYS)]:
                raise SystemExit(f"KEYRANGE from {key(number)} answered {names[:3]} …")
            for step, one in enumerate(values):
                check(number + step, one)

        return self.timed(act)

    def verify(self) -> list:
        """Reads back what this worker wrote: each key must hold its last write."""
        for number, write in self.random.sample(sorted(self.written.items()), min(len(self.written), 2_000)):
            if self.client.call("GET", key(number)) != value(number, write):
                raise SystemExit(f"{key(number).decode()} lost write {write}")
        return []


def serve_worker(port: int, options, place: int, pipe):
    """The process of a worker: runs the parts it is told by name."""
    worker = Worker(port, options, place)
    while part := pipe.recv():
        try:
            pipe.send(getattr(worker, part)())
        except (SystemExit, OSError, Disconnected, ReplyError) as problem:
            pipe.send(problem)


class Workers:
    """All client processes."""

    def __init__(self, port: int, options):
        self.processes = []
        for place in range(options.clients):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=serve_worker, args=(port, options, place, theirs), daemon=True)
            process.start()
            theirs.close()
            self.processes.append((process, ours))

    def run(self, part: str) -> tuple:
        """Runs one part in all of them; sorted latencies and the seconds it took."""
        begun = time.monotonic()
        for _, pipe in self.processes:
            pipe.send(part)
        replies = [pipe.recv() for _, pipe in self.processes]
        took = time.monotonic() - begun
        for reply in replies:
            if isinstance(reply, BaseException):
                raise SystemExit(f"{part}: {reply}")
        return sorted(latency for reply in replies for latency in reply), took

    def close(self):
        """Ends them."""
        for process, pipe in self.processes:
            pipe.send(None)
            process.join()


class MemoryWatch(threading.Thread):
    """The most memory the server is seen to use: resident in all, and not backed by files."""

    def __init__(self, server: Server):
        super().__init__(daemon=True)
        self.server, self.ended = server, threading.Event()
        self.resident = self.anonymous = 0

    def run(self):
        while not self.ended.wait(0.1):
            try:
                self.resident = max(self.resident, self.server.resident_bytes())
                self.anonymous = max(self.anonymous, self.server.resident_bytes("RssAnon"))
            except OSError:
                return  # It ended.

    def finish(self):
        """Ends the watch."""
        self.ended.set()
        self.join()


def settle(server: Server, most_s: float = 120) -> float:
    """Waits until the server has nothing to do, so that no part pays for the one before; the seconds it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < most_s:
        cpu = server.cpu_seconds()
        time.sleep(2)
        if server.cpu_seconds() - cpu < 0.1:
            break
    return time.monotonic() - begun


def device_bytes_read(server: Server) -> int:
    """Bytes the server has caused to be read from the disk."""
    lines = Path(f"/proc/{server.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def measure(server: Server, workers: Workers, part: str) -> dict:
    """One timed part: rate, latencies, and what the server spent on each request."""
    cpu, read = server.cpu_seconds(), device_bytes_read(server)
    latencies, took = workers.run(part)
    count = len(latencies)
    found = {
        "rate": count / took,
        "p50_ms": latencies[count // 2] * 1000,
        "p99_ms": latencies[count * 99 // 100] * 1000,
        "longest_ms": latencies[-1] * 1000,
        "cpu_us": (server.cpu_seconds() - cpu) / count * 1e6,
        "read_bytes": (device_bytes_read(server) - read) / count,
    }
    print(f"  {part}: " + ", ".join(f"{name} {number:,.1f}" for name, number in found.items()), flush=True)
    return found


def disk_reads_a_second(folder: Path, options) -> float:
    """Random 4 KiB reads past every cache of this kernel, by as many threads as there are clients: what the disk gives."""
    path, size, block = folder / "probe", 256 * MIB, 4096
    with open(path, "wb") as file:
        for at in range(0, size, len(NOISE)):
            file.write(NOISE)
        os.fsync(file.fileno())
    counts = []

    def read(seed: int):
        chosen, count = random.Random(seed), 0
        buffer = mmap.mmap(-1, block)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            os.preadv(descriptor, [buffer], chosen.randrange(size // block) * block)
            count += 1
        os.close(descriptor)
        counts.append(count)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    path.unlink()
    return sum(counts) / 2


def one_engine(engine: str, options, folder: Path) -> dict:
    """Everything about one engine."""
    with MemoryLimit(options.limit_mib * MIB) as limit:
        print(f"==== {engine}: {options.keys:,} values of {VALUE_BYTES} bytes; {limit.describe()}", flush=True)
        settings = {"appendonly": "yes", "appendfsync": "everysec", **dict(options.set)}
        server = Server("kvorum", folder / engine, settings, engine, prefix=limit.prefix())
        try:
            return {"limit": limit.describe(), **run_engine(engine, options, server, limit)}
        except Exception as problem:
            problem.add_note(f"{limit.kills()} kills for memory\n{server.log_tail()}")
            raise
        finally:
            server.kill()


def run_engine(engine: str, options, server: Server, limit: MemoryLimit) -> dict:
    """Loads the data, runs the parts, restarts the server."""
    server.start()
    watch = MemoryWatch(server)
    watch.start()
    workers = Workers(server.port, options)
    cpu = server.cpu_seconds()
    _, took = workers.run("load")
    print(f"  load: {options.keys / took:,.0f} SET/s, {server.cpu_seconds() - cpu:.0f} s of CPU", flush=True)
    found = {"load_rate": options.keys / took, "keys": options.keys, "parts": {}}
    found["settled_s"] = settle(server)
    print(f"  settled after {found['settled_s']:.0f} s", flush=True)
    for part in options.parts:
        if part != "keyrange" or engine == "btree":
            found["parts"][part] = measure(server, workers, part)
    workers.run("verify")
    workers.close()
    watch.finish()
    found |= {
        "resident": watch.resident,
        "anonymous": watch.anonymous,
        "engine_disk": server.disk_bytes(f"shard-1/{engine}"),
        "log_disk": server.disk_bytes("log"),
    }
    found["restart_s"] = restart(server, options)
    found["kills"] = limit.kills()
    print(f"  {found}", flush=True)
    return found


def restart(server: Server, options) -> float:
    """Seconds from the start after a kill to the first answer, with everything there."""
    server.kill()
    begun = time.monotonic()
    server.start(ready_within_s=300)
    took = time.monotonic() - begun
    with server.client(timeout_s=120) as client:
        if client.call("DBSIZE") != options.keys:
            raise SystemExit(f"{client.call('DBSIZE')} keys of {options.keys} came back")
        for number in random.Random(2).sample(range(options.keys), 1000):
            check(number, client.call("GET", key(number)))
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", type=lambda text: text.split(","), default=ENGINES)
    parser.add_argument("--limit-mib", type=int, default=512, help="memory the server may use")
    parser.add_argument("--times", type=float, default=4.0, help="size of the values, in limits")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each part")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=("get", "set", "mixed", "keyrange"))
    parser.add_argument("--set", type=lambda text: text.split("=", 1), action="append", default=[], help="setting=value")
    parser.add_argument("--dir", help="where the servers' directories are made")
    parser.add_argument("--no-report", action="store_true", help="print only")
    options = parser.parse_args()
    options.keys = int(options.limit_mib * MIB * options.times) // VALUE_BYTES
    place = cache_dir() / "bench-large.json"
    measured = json.loads(place.read_text()) if place.exists() else {}
    measured["load"] = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="kvorum-large-", dir=options.dir) as folder:
        folder = Path(folder)
        measured["disk_reads"] = disk_reads_a_second(folder, options)
        print(f"the disk gives {measured['disk_reads']:,.0f} random reads of 4 KiB a second", flush=True)
        for engine in options.engines:
            measured[engine] = one_engine(engine, options, folder)
    if not options.no_report:
        measured |= {"machine": machine(), "clients": options.clients, "value_bytes": VALUE_BYTES}
        place.write_text(json.dumps(measured, indent=1))
        report.write(measured, HERE)
        print(f"written: {HERE / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
