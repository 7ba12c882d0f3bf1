#!/usr/bin/env python3
"""Measures kvorum beside Debian's redis-server on this machine, and writes RESULTS.md and results.svg.

    make bench                                          throughput of every engine and durability
    benches/compare/run.py --engines hash --tests SET,GET --pipeline 1,16 --rounds 3
    benches/compare/run.py --families                   every data type, redis-benchmark's default tests and XADD
    benches/compare/run.py --memory --collections --queue --restart --snapshot --idle

For each engine and durability three servers run side by side: redis without persistence (the main
reference), redis with the same durability, and kvorum. redis-benchmark goes from one to the next and
round again (A B C A B C …), so that a machine that slows down slows all of them; medians are
reported. The servers' CPU time is read from /proc around each run: where client and server share two
cores, CPU per request says more about a server than requests per second.

What is measured is kept in the cache directory, and the report is written from all of it: a run with
few options replaces its own part only. `--fresh` forgets everything measured before.
"""

import argparse
import csv
import io
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "scripts")]
import report  # noqa: E402
from harness import ENGINES, HOST, Client, ReplyError, Server, cache_dir, info, machine, require  # noqa: E402

CLIENTS = 50
VALUE_BYTES = 64
KEY_RANGE = 1_000_000
TESTS = ("SET", "GET", "HSET", "INCR", "MSET")
# redis-benchmark's default tests, in its order, and XADD.
FAMILIES = (
    "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
    "ZPOPMIN", "LRANGE_100", "LRANGE_300", "LRANGE_500", "LRANGE_600", "MSET", "XADD",
)  # fmt: skip
# Tests that read or take away what another one adds, which runs before them.
FILLED_BY = {
    "GET": "SET", "LPOP": "LPUSH", "RPOP": "RPUSH", "SPOP": "SADD", "ZPOPMIN": "ZADD",
    "LRANGE_100": "LPUSH", "LRANGE_300": "LPUSH", "LRANGE_500": "LPUSH", "LRANGE_600": "LPUSH",
}  # fmt: skip
# Tests that redis-benchmark has no name for, or under whose name it does more than is measured.
CUSTOM = {"XADD": ["XADD", "mystream", "*", "field", "__rand_int__"]} | {
    f"LRANGE_{count}": ["LRANGE", "mylist", "0", str(count - 1)] for count in (100, 300, 500, 600)
}
PIPELINES = (1, 16, 64)
# So many times a queue is filled and emptied.
QUEUE_PARTS = 10
FAMILY_PIPELINES = (1, 16)
DURABILITIES = {
    "no": {"appendonly": "no"},
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "always": {"appendonly": "yes", "appendfsync": "always"},
}
# A run is sized to take about this long, from what a short run before it reached.
RUN_SECONDS = 1.5
# Requests of that short run, by pipeline.
CALIBRATION_REQUESTS = {1: 10_000, 16: 50_000, 64: 100_000}


def benchmark(server: Server, test: str, pipeline: int, requests: int) -> dict:
    """One run of redis-benchmark: requests per second, latencies, and the server's CPU time a request."""
    command = [
        "redis-benchmark", "-h", HOST, "-p", str(server.port), "-n", str(requests),
        "-c", str(CLIENTS), "-P", str(pipeline), "-d", str(VALUE_BYTES), "-r", str(KEY_RANGE), "--csv",
        *(CUSTOM.get(test) or ["-t", test.lower()]),
    ]  # fmt: skip
    before = server.cpu_seconds()
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    cpu = server.cpu_seconds() - before
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    if result.returncode or len(rows) != 1:
        raise SystemExit(f"redis-benchmark {test} against {server.name} failed:\n{result.stdout}{result.stderr}")
    row = rows[0]
    return {
        "rps": float(row["rps"]),
        "p50_ms": float(row["p50_latency_ms"]),
        "p99_ms": float(row["p99_latency_ms"]),
        "cpu_us": cpu / requests * 1e6,
    }


def fill(server: Server, keys: int = KEY_RANGE, value_bytes: int = VALUE_BYTES):
    """Writes `keys` keys of 16 bytes with values of `value_bytes`, each different."""
    # redis-benchmark's own names, so that its GETs find them.
    feed(server, (["SET", f"key:{number:012d}", f"{number:0{value_bytes}d}"] for number in range(keys)))


def feed(server: Server, commands):
    """Sends commands as fast as the server takes them; none may fail."""
    pipe = subprocess.Popen(
        ["redis-cli", "-h", HOST, "-p", str(server.port), "--pipe"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    for command in commands:
        pipe.stdin.write(Client.encode(command))
    output, _ = pipe.communicate(timeout=600)
    if b"errors: 0" not in output:
        raise SystemExit(f"filling {server.name} failed: {output.decode(errors='replace')}")


def contenders(engine: str, durability: str, folder: Path) -> list:
    """The servers to compare for one engine and durability, with the name of each in the report."""
    found = [("redis", Server("redis", folder / "redis", DURABILITIES["no"]))]
    if durability != "no":
        found.append((f"redis {durability}", Server("redis", folder / "redis-durable", DURABILITIES[durability])))
    found.append((f"kvorum {engine}", Server("kvorum", folder / "kvorum", DURABILITIES[durability], engine)))
    return found


def throughput(options, store: dict):
    """Fills `store` with medians by engine, durability, test, pipeline and server."""
    for engine in options.engines:
        for durability in options.durability:
            with tempfile.TemporaryDirectory(prefix="kvorum-bench-", dir=options.dir) as folder, ExitStack() as stack:
                servers = contenders(engine, durability, Path(folder))
                print(f"{engine}, durability {durability}", flush=True)
                for _, server in servers:
                    stack.enter_context(server)
                    fill(server)
                for test in options.tests or TESTS:
                    for pipeline in options.pipeline or PIPELINES:
                        measured = rounds(servers, test, pipeline, options)
                        store[f"{engine}/{durability}/{test}/{pipeline}"] = measured
                        print_line(test, pipeline, measured)


def families(options, store: dict):
    """Every data type: redis-benchmark's default tests and XADD, all engines side by side, with everysec."""
    with tempfile.TemporaryDirectory(prefix="kvorum-bench-", dir=options.dir) as folder, ExitStack() as stack:
        servers = [("redis", Server("redis", Path(folder) / "redis", DURABILITIES["no"]))]
        servers += [
            (f"kvorum {engine}", Server("kvorum", Path(folder) / engine, DURABILITIES["everysec"], engine))
            for engine in options.engines
        ]
        for _, server in servers:
            stack.enter_context(server)
        for test in options.tests or FAMILIES:
            for pipeline in options.pipeline or FAMILY_PIPELINES:
                measured = family_rounds(servers, test, pipeline, options)
                store[f"{test}/{pipeline}"] = measured
                if len(servers) > 2 and "kvorum hash" in measured:
                    # A later run without the engines on disk leaves these alone.
                    on_disk = store.setdefault("on disk", {})
                    on_disk[f"{test}/{pipeline}"] = {**measured, "date": time.strftime("%Y-%m-%d")}
                print_line(test, pipeline, measured)


def family_rounds(servers: list, test: str, pipeline: int, options) -> dict:
    """Medians of alternating runs, by server, each run on a store that holds no more than it needs."""

    def run(server: Server, requests: int) -> dict:
        with server.client() as client:
            client.call("FLUSHALL")
        if test in FILLED_BY:
            benchmark(server, FILLED_BY[test], 16, requests)
        return benchmark(server, test, pipeline, requests)

    requests = {name: sized(run(server, CALIBRATION_REQUESTS[pipeline]), options) for name, server in servers}
    runs = {name: [] for name, _ in servers}
    for _ in range(options.rounds):
        for name, server in servers:
            runs[name].append(run(server, requests[name]))
    return {name: medians(mine) for name, mine in runs.items()}


def sized(short: dict, options) -> int:
    """How many requests take about as long as a run shall."""
    return options.requests or max(5_000, int(short["rps"] * options.seconds) // 1000 * 1000)


def medians(runs: list) -> dict:
    """The medians of several runs of one kind, and how far apart they were."""
    return {what: statistics.median(run[what] for run in runs) for what in runs[0]} | {
        "lowest_rps": min(run["rps"] for run in runs),
        "highest_rps": max(run["rps"] for run in runs),
    }


def rounds(servers: list, test: str, pipeline: int, options) -> dict:
    """Medians of alternating runs, by server."""
    runs = {name: [] for name, _ in servers}
    requests = {}
    for name, server in servers:
        short = benchmark(server, test, pipeline, CALIBRATION_REQUESTS.get(pipeline, 50_000))
        requests[name] = sized(short, options)
    for _ in range(options.rounds):
        for name, server in servers:
            runs[name].append(benchmark(server, test, pipeline, requests[name]))
    return {name: medians(mine) for name, mine in runs.items()}


def print_line(test: str, pipeline: int, measured: dict):
    """One line of progress."""
    reference = measured["redis"]
    parts = []
    for name, values in measured.items():
        ratio = "" if values is reference else f" ×{values['rps'] / reference['rps']:.2f}"
        parts.append(f"{name} {values['rps'] / 1000:.0f}k{ratio} {values['cpu_us']:.1f} µs")
    print(f"  {test:<5} P={pipeline:<3} " + "   ".join(parts), flush=True)


def one_by_one(options, durability: str):
    """Redis, then kvorum with each engine, each alone on the machine in a directory of its own."""
    kinds = [("redis", "redis", None)] + [(f"kvorum {engine}", "kvorum", engine) for engine in options.engines]
    for name, kind, engine in kinds:
        with tempfile.TemporaryDirectory(prefix="kvorum-bench-", dir=options.dir) as folder:
            server = Server(kind, folder, DURABILITIES[durability], engine)
            try:
                yield name, server
            finally:
                server.kill()


def used_memory(server: Server) -> int:
    """The server's own account of its memory."""
    with server.client() as client:
        return int(info(client, "memory").get("used_memory", 0))


def memory(options, store: dict):
    """Bytes a key: resident and as INFO says, over the empty server; and on disk."""
    for name, server in one_by_one(options, "everysec"):
        server.start()
        time.sleep(1)
        resident, used = server.resident_bytes(), used_memory(server)
        fill(server, options.keys)
        time.sleep(5)
        store[name] = {
            "empty_rss": resident,
            "rss_per_key": (server.resident_bytes() - resident) / options.keys,
            "used_per_key": (used_memory(server) - used) / options.keys,
            "disk_per_key": server.disk_bytes() / options.keys,
            "keys": options.keys,
        }
        print(f"  {name}: {store[name]}", flush=True)


def collections(options, store: dict):
    """Bytes an element or a value of each kind: resident and as INFO says, over the empty server."""
    kinds = {
        "sorted set": (500_000, lambda n: ["ZADD", "z", str(n), f"member:{n:08d}"]),
        "hash": (500_000, lambda n: ["HSET", "h", f"field:{n:08d}", f"value:{n:08d}"]),
        "hashes of four fields": (100_000, lambda n: ["HSET", f"h:{n:08d}"] + [word for i in range(4) for word in (f"f{i}", f"v{n % 1000:03d}")]),
        "sets of three members": (100_000, lambda n: ["SADD", f"s:{n:08d}", "a1", "b2", f"c{n}"]),
        "lists of three elements": (100_000, lambda n: ["RPUSH", f"l:{n:08d}", "a1", "b2", f"c{n}"]),
    }
    for kind, (count, command) in kinds.items():
        for name, server in one_by_one(options, "everysec"):
            server.start()
            time.sleep(1)
            resident, used = server.resident_bytes(), used_memory(server)
            feed(server, (command(number) for number in range(count)))
            time.sleep(5)
            store[f"{kind}/{name}"] = {
                "rss": (server.resident_bytes() - resident) / count,
                "used": (used_memory(server) - used) / count,
                "count": count,
            }
            print(f"  {kind}, {name}: {store[f'{kind}/{name}']}", flush=True)


def queue(options, store: dict):
    """Pops from the front of a list and of a sorted set that have seen millions come and go: their cost must not rise."""
    part = options.keys
    for name, server in one_by_one(options, "everysec"):
        server.start()
        for kind, push, pop in (("list", "RPUSH", "LPOP"), ("sorted set", "ZADD", "ZPOPMIN")):
            runs = []
            for _ in range(QUEUE_PARTS):
                benchmark(server, push, 64, part)
                runs.append(benchmark(server, pop, 64, part))
            store[f"{kind}/{name}"] = {"part": part, "rps": [run["rps"] for run in runs], "cpu_us": [run["cpu_us"] for run in runs]}
            print(f"  {kind}, {name}: " + ", ".join(f"{run['rps'] / 1000:.0f}k {run['cpu_us']:.1f} µs" for run in runs), flush=True)


def restart(options, store: dict):
    """Seconds from the start of the process to its first answer, after a clean end and after a kill."""
    for name, server in one_by_one(options, "everysec"):
        server.start()
        fill(server, options.keys)
        time.sleep(2)
        server.stop()
        begun = time.monotonic()
        server.start(ready_within_s=300)
        clean = time.monotonic() - begun
        with server.client() as client:
            if client.call("DBSIZE") != options.keys:
                raise SystemExit(f"{name} came back with {client.call('DBSIZE')} keys of {options.keys}")
        server.kill()
        begun = time.monotonic()
        server.start(ready_within_s=300)
        killed = time.monotonic() - begun
        store[name] = {"clean_s": clean, "killed_s": killed, "keys": options.keys}
        print(f"  {name}: {store[name]}", flush=True)


class Prober(threading.Thread):
    """Sends a GET every millisecond and keeps the longest wait for an answer."""

    def __init__(self, server: Server):
        super().__init__(daemon=True)
        self.client = server.client()
        self.longest_s, self.count, self.ended = 0.0, 0, threading.Event()

    def run(self):
        request = self.client.encode(["GET", "key:000000000001"])
        while not self.ended.is_set():
            begun = time.perf_counter()
            self.client.send(request)
            self.client.read()
            self.longest_s = max(self.longest_s, time.perf_counter() - begun)
            self.count += 1
            time.sleep(0.001)

    def finish(self) -> float:
        """Ends the probing; the longest wait in milliseconds."""
        self.ended.set()
        self.join()
        self.client.close()
        return self.longest_s * 1000


def snapshot(options, store: dict):
    """The longest wait of a client while writes go on: without, and with, a snapshot being taken."""
    for name, server in one_by_one(options, "everysec"):
        server.start()
        fill(server, options.keys)
        load = subprocess.Popen(
            ["redis-benchmark", "-h", HOST, "-p", str(server.port), "-t", "set", "-n", "1000000000", "-c", "10",
             "-P", "4", "-d", str(VALUE_BYTES), "-r", str(options.keys), "-q"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(1)
            prober = Prober(server)
            prober.start()
            time.sleep(5)
            quiet_ms = prober.finish()
            prober = Prober(server)
            prober.start()
            begun = time.monotonic()
            with server.client() as client:
                try:
                    client.call("BGSAVE")
                except ReplyError as error:
                    print(f"  {name}: no snapshot: {error}")
                    prober.finish()
                    continue
                while info(client, "persistence").get("rdb_bgsave_in_progress") == "1":
                    if time.monotonic() - begun > 300:
                        raise SystemExit(f"{name}: the snapshot takes more than 300 s")
                    time.sleep(0.02)
            took = time.monotonic() - begun
            time.sleep(0.2)
            store[name] = {"load_ms": quiet_ms, "snapshot_ms": prober.finish(), "took_s": took, "keys": options.keys}
        finally:
            load.kill()
            load.wait()
        print(f"  {name}: {store[name]}", flush=True)


def idle(options, store: dict):
    """CPU time and memory of a server that has nothing to do, alone and with connections open."""
    for name, server in one_by_one(options, "everysec"):
        server.start()
        time.sleep(2)
        before = server.cpu_seconds()
        time.sleep(10)
        alone = (server.cpu_seconds() - before) / 10
        resident = server.resident_bytes()
        connections = [server.client() for _ in range(500)]
        for connection in connections:
            connection.call("PING")
        before = server.cpu_seconds()
        time.sleep(10)
        store[name] = {
            "cpu_share": alone,
            "cpu_share_connected": (server.cpu_seconds() - before) / 10,
            "rss": resident,
            "rss_per_connection": (server.resident_bytes() - resident) / len(connections),
        }
        for connection in connections:
            connection.close()
        print(f"  {name}: {store[name]}", flush=True)


def redis_version() -> str:
    """The version of the redis-server compared with."""
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    return version.split("v=")[1].split()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def words(allowed=None):
        def parse(text):
            found = tuple(word for word in text.replace(",", " ").split() if word)
            for word in found:
                if allowed and word not in allowed:
                    raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(allowed)}")
            return found

        return parse

    parser.add_argument("--engines", type=words(ENGINES), default=ENGINES)
    parser.add_argument("--durability", type=words(DURABILITIES), default=tuple(DURABILITIES))
    parser.add_argument("--tests", type=words(set(TESTS + FAMILIES)), help="default: those of the part")
    parser.add_argument("--pipeline", type=lambda text: tuple(map(int, text.split(","))), help="default: those of the part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=RUN_SECONDS, help="length that each run is sized to")
    parser.add_argument("--requests", type=int, help="requests of each run, instead of --seconds")
    parser.add_argument("--keys", type=int, default=KEY_RANGE, help="keys for memory, restart and snapshot")
    parser.add_argument("--dir", help="where the servers' directories are made")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--throughput", action="store_true", help="the default, where none of the following is given")
    extras = {"families": families, "memory": memory, "collections": collections, "queue": queue, "restart": restart, "snapshot": snapshot, "idle": idle}
    for name, part in extras.items():
        parser.add_argument(f"--{name}", action="store_true", help=part.__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--report-only", action="store_true", help="write the report from what was measured before")
    options = parser.parse_args()
    require("redis-server", "redis-benchmark", "redis-cli")
    place = cache_dir() / "bench.json"
    measured = json.loads(place.read_text()) if place.exists() and not options.fresh else {}
    if not options.report_only:
        chosen = [name for name in extras if options.all or getattr(options, name)]
        parts = {name: extras[name] for name in chosen}
        if options.all or options.throughput or not chosen:
            parts = {"throughput": throughput, **parts}
        for name, part in parts.items():
            print(f"==== {name}", flush=True)
            store = measured.setdefault(name, {})
            part(options, store)
            measured["machine"] = {**machine(), "redis": redis_version()}
            place.write_text(json.dumps(measured, indent=1))
    report.write(measured, HERE)
    print(f"written: {HERE / 'RESULTS.md'}, {HERE / 'results.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
