#!/usr/bin/env python3
"""Measures what a cluster of three nodes on one machine costs, and writes RESULTS.md.

    make bench-cluster                              everything
    make bench-cluster ARGS="--only idle,bus"       a part; the others keep their last figures

- idle: processor and memory of a node that has nothing to do, with 16 shards;
- bus: bytes that the nodes send each other for a write of 100 bytes;
- writes: throughput and latency of 50 clients, of a standalone server, of three nodes, and of etcd (Debian's
  packages etcd-server and etcd-client) with three members and the same durability: nothing is acknowledged
  before a majority has it on disk;
- reads: how much of a read-heavy load each node carries when only leaders answer, and when all replicas do.

Clients, servers and disk share one machine: three nodes do three times the work of one on the same cores.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "scripts")]
import grpc  # noqa: E402
from harness import HOST, Client, Cluster, Disconnected, ReplyError, Server, cache_dir, free_port, info, machine, require  # noqa: E402

VALUE_BYTES = 100
KEYS = 100_000
PARTS = ("idle", "bus", "writes", "reads")


def benchmark(port: int, test: str, requests: int, clients: int, *more) -> dict:
    """Runs redis-benchmark; returns its figures."""
    command = ["redis-benchmark", "-h", HOST, "-p", port, "-t", test, "-n", requests, "-c", clients, "-d", VALUE_BYTES,
               "-r", KEYS, "--csv", *more]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    rows = [line for line in done.stdout.splitlines() if line.startswith('"')]
    if done.returncode or len(rows) < 2:
        raise SystemExit(f"redis-benchmark failed: {done.stdout}{done.stderr}")
    names, values = ([word.strip('"') for word in row.split(",")] for row in rows[:2])
    found = dict(zip(names, values))
    return {"rps": float(found["rps"]), "p50": float(found["p50_latency_ms"]), "p99": float(found["p99_latency_ms"])}


def sized(run, seconds: float, first: int) -> dict:
    """Runs something with so many requests that it takes about so long."""
    trial = run(first)
    return run(max(first, int(trial["rps"] * seconds)))


def idle(directory: Path, options) -> dict:
    """16 shards, nobody asks for anything."""
    with Cluster(directory, shards=16) as cluster:
        cluster.wait_healthy()
        time.sleep(5)
        before = [node.cpu_seconds() for node in cluster.nodes]
        sent = bus_bytes(cluster)
        time.sleep(options.seconds * 3)
        used = [after.cpu_seconds() - cpu for after, cpu in zip(cluster.nodes, before)]
        return {
            "shards": 16,
            "cpu_percent": [round(100 * cpu / (options.seconds * 3), 2) for cpu in used],
            "memory_mb": [round(node.resident_bytes() / 1e6, 1) for node in cluster.nodes],
            "anonymous_mb": [round(node.resident_bytes("RssAnon") / 1e6, 1) for node in cluster.nodes],
            "bus_bytes_per_second": round((bus_bytes(cluster) - sent) / (options.seconds * 3)),
        }


def bus_bytes(cluster) -> int:
    """What all nodes have sent each other."""
    total = 0
    for node in cluster.nodes:
        with node.client() as client:
            total += int(info(client, "cluster")["cluster_bus_bytes_out"])
    return total


def bus(directory: Path, options) -> dict:
    """Bytes on the bus for each write, sent to one node, and by a client that knows the leaders."""
    figures = {"idle": None, "writes": []}
    with Cluster(directory, shards=8) as cluster:
        cluster.wait_healthy()
        sent = bus_bytes(cluster)
        time.sleep(5)
        figures["idle"] = (bus_bytes(cluster) - sent) / 5
        for name, clients, more in [
            ("1 client", 1, ()), ("50 clients", 50, ()), ("50 clients, pipeline 16", 50, ("-P", 16)),
            ("50 clients that know the leaders", 50, ("--cluster",)),
        ]:  # fmt: skip
            requests = 5000 if clients == 1 else 100_000
            sent, begun = bus_bytes(cluster), time.monotonic()
            benchmark(cluster.nodes[0].port, "set", requests, clients, *more)
            took = time.monotonic() - begun
            bytes_each = (bus_bytes(cluster) - sent - figures["idle"] * took) / requests
            figures["writes"].append({"load": name, "bytes": round(bytes_each)})
    return figures


class Etcd:
    """Three members of etcd."""

    def __init__(self, directory: Path):
        self.members = []
        ports = [(free_port(), free_port()) for _ in range(3)]
        peers = ",".join(f"m{number}=http://{HOST}:{peer}" for number, (_, peer) in enumerate(ports))
        for number, (client, peer) in enumerate(ports):
            home = directory / f"etcd-{number}"
            home.mkdir(parents=True)
            command = [
                "etcd", "--name", f"m{number}", "--data-dir", home / "data", "--initial-cluster", peers,
                "--initial-cluster-state", "new", "--logger", "zap", "--log-level", "error",
                "--listen-client-urls", f"http://{HOST}:{client}", "--advertise-client-urls", f"http://{HOST}:{client}",
                "--listen-peer-urls", f"http://{HOST}:{peer}", "--initial-advertise-peer-urls", f"http://{HOST}:{peer}",
            ]  # fmt: skip
            log = open(home / "log", "wb")
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.members.append((process, (HOST, client)))

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            states = self._states()
            leader = next((state["Status"]["leader"] for state in states if state["Status"].get("leader")), None)
            if len(states) == 3 and leader:
                leads = [state["Status"]["header"]["member_id"] == leader for state in states]
                self.leader = self.members[leads.index(True)][1]
                return self
            time.sleep(0.3)
        raise SystemExit("etcd does not come up")

    def _states(self) -> list:
        endpoints = ",".join("%s:%d" % address for _, address in self.members)
        command = ["etcdctl", "--endpoints", endpoints, "endpoint", "status", "-w", "json"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"})
        return json.loads(done.stdout) if done.returncode == 0 else []

    def cpu_seconds(self) -> float:
        """Of all members."""
        total = 0.0
        for process, _ in self.members:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def __exit__(self, *_):
        for process, _ in self.members:
            process.send_signal(signal.SIGKILL)
            process.wait()


def measured(servers_cpu, run) -> dict:
    """A run with the processor time of the servers for each request."""
    before, begun = servers_cpu(), time.monotonic()
    figures = run()
    requests = figures["rps"] * (time.monotonic() - begun)
    return {**figures, "cpu_us": (servers_cpu() - before) * 1e6 / requests}


def etcd_puts(addresses, options) -> dict:
    """The figures of a run of puts."""
    grpc.puts(addresses, options.clients, 1, KEYS, VALUE_BYTES)
    latencies, failures, took = grpc.puts(addresses, options.clients, options.seconds, KEYS, VALUE_BYTES)
    if failures:
        raise SystemExit(f"{failures} puts failed")
    latencies.sort()
    at = lambda share: latencies[int(share * (len(latencies) - 1))] * 1000  # noqa: E731
    return {"rps": len(latencies) / took, "p50": at(0.5), "p99": at(0.99)}


def writes(directory: Path, options) -> dict:
    """SET and PUT of 100 bytes by 50 clients, one request at a time each."""
    rows = []
    for fsync in ("always", "everysec"):
        settings = {"appendfsync": fsync}
        with Server("kvorum", directory / f"alone-{fsync}", settings, "hash") as server:
            run = lambda count: benchmark(server.port, "set", count, options.clients)  # noqa: E731
            row = measured(server.cpu_seconds, lambda: sized(run, options.seconds, 5000))
            rows.append({"server": "kvorum, standalone", "fsync": fsync, **row})
        for shards in (1, 8):
            with Cluster(directory / f"three-{shards}-{fsync}", shards=shards, settings=settings, engine="hash") as cluster:
                cluster.wait_healthy()
                cpu = lambda: sum(node.cpu_seconds() for node in cluster.nodes)  # noqa: E731, B023
                # The first node leads the first shard. redis-benchmark refuses a cluster where a node leads nothing.
                ways = [("clients at the leader", ())] if shards == 1 else [("clients at one node", ()), ("clients at the leaders", ("--cluster",))]
                for way, more in ways:
                    run = lambda count: benchmark(cluster.nodes[0].port, "set", count, options.clients, *more)  # noqa: E731, B023
                    row = measured(cpu, lambda: sized(run, options.seconds, 5000))  # noqa: B023
                    name = f"kvorum, three nodes, {shards} shard{'s' if shards > 1 else ''}, {way}"
                    rows.append({"server": name, "fsync": fsync, **row})
    with Etcd(directory) as etcd:
        addresses = [address for _, address in etcd.members]
        for name, targets in [("etcd, three members, clients at the leader", [etcd.leader]), ("etcd, three members, clients at all", addresses)]:
            row = measured(etcd.cpu_seconds, lambda: etcd_puts(targets, options))  # noqa: B023
            rows.append({"server": name, "fsync": "always", **row})
    return {"rows": rows, "clients": options.clients}


def reads(directory: Path, options) -> dict:
    """GET at all nodes of a group with one leader, beside writes: 95 to 5, or nearly."""
    rows = []
    for policy in ("lease", "follower", "stale"):
        with Cluster(directory / policy, shards=1, settings={"read-policy": policy}, engine="hash") as cluster:
            cluster.wait_healthy()
            benchmark(cluster.nodes[0].port, "set", KEYS, 50, "-P", "16")
            cluster.wait_healthy()
            for pipeline in (1, 16):
                rows.append({"policy": policy, "pipeline": pipeline, **read_everywhere(cluster, pipeline, options)})
    return {"rows": rows}


def read_everywhere(cluster, pipeline: int, options) -> dict:
    """A third of the reads at each node, and some writes at the leader."""
    leader = next(index for index, node in enumerate(cluster.nodes) if leads(node))
    count, clients = options.reads * (4 if pipeline > 1 else 1) // 3, options.clients // 3
    done, written, found = threading.Event(), [0], [{} for _ in cluster.nodes]

    def load(index):
        found[index] = benchmark(cluster.nodes[index].port, "get", count, clients, "-P", pipeline)

    threads = [threading.Thread(target=load, args=(index,)) for index in range(len(cluster.nodes))]
    writer = threading.Thread(target=write_slowly, args=(cluster.nodes[leader].port, done, written))
    before, begun = [node.cpu_seconds() for node in cluster.nodes], time.monotonic()
    for thread in [writer, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    done.set()
    writer.join()
    cpu = [(node.cpu_seconds() - was) * 1e6 / (3 * count) for node, was in zip(cluster.nodes, before)]
    others = [used for index, used in enumerate(cpu) if index != leader]
    return {
        "reads": 3 * count / took, "writes": written[0] / took, "leader_us": cpu[leader],
        "follower_us": sum(others) / len(others), "p99": max(one["p99"] for one in found),
    }  # fmt: skip


def leads(node) -> bool:
    """Whether it leads the only shard."""
    with node.client() as client:
        return "role=leader" in info(client, "shards").get("shard1", "")


def write_slowly(port, done, written):
    """SETs, a thousand a second at most."""
    chance = random.Random(1)
    with Client(port) as client:
        while not done.wait(0.001):
            try:
                client.call("SET", f"key:{chance.randrange(KEYS):012}", "x" * VALUE_BYTES)
                written[0] += 1
            except (ReplyError, Disconnected):
                return


def markdown(figures: dict) -> str:
    """RESULTS.md."""
    out = ["# What a cluster costs", "", "Made by `make bench-cluster`; see `run.py`. All nodes, all clients and the disk are on one machine.", ""]
    for part in PARTS:
        if part not in figures:
            continue
        found, on = figures[part]["figures"], figures[part]["machine"]
        note = figures[part].get("note", "")
        out += [f"## {part.capitalize()}", "", f"{on['date']}, {on['cores']} cores of {on['cpu']}, Linux {on['kernel']}. {note}".rstrip(), ""]
        if part == "idle":
            out += ["| node | % of a core | resident MB | of them anonymous | \n|---|---|---|---|".replace(" \n", "\n")]
            for number, cells in enumerate(zip(found["cpu_percent"], found["memory_mb"], found["anonymous_mb"]), 1):
                out.append("| {} | {} | {} | {} |".format(number, *cells))
            out += ["", f"{found['shards']} shards with three replicas each; the nodes send each other {found['bus_bytes_per_second']} bytes a second."]
        elif part == "bus":
            out += ["| load | bytes on the bus for a write of 100 bytes |\n|---|---|"]
            out += [f"| {row['load']} | {row['bytes']} |" for row in found["writes"]]
            out += ["", f"Sent by all three nodes together, without the {found['idle']:.0f} bytes a second that they send anyhow. 200 of them are the value, to two followers."]
        elif part == "writes":
            etcd = max(row["rps"] for row in found["rows"] if row["server"].startswith("etcd"))
            out += ["| server | appendfsync | writes/s | p50 ms | p99 ms | server CPU µs a write | of etcd's best |\n|---|---|---|---|---|---|---|"]
            for row in found["rows"]:
                out.append(f"| {row['server']} | {row['fsync']} | {row['rps']:,.0f} | {row['p50']:.2f} | {row['p99']:.2f} | {row['cpu_us']:.0f} | {row['rps'] / etcd:.1f} |")
            out += ["", f"{found['clients']} clients, one request at a time each, {VALUE_BYTES}-byte values, {KEYS:,} keys; CPU of all servers together. etcd always syncs."]
        elif part == "reads":
            out += ["| read-policy | pipeline | reads/s | writes/s beside | leader: CPU µs a read | a follower: CPU µs a read | p99 ms |\n|---|---|---|---|---|---|---|"]
            for row in found["rows"]:
                out.append(f"| {row['policy']} | {row['pipeline']} | {row['reads']:,.0f} | {row['writes']:,.0f} | {row['leader_us']:.2f} | {row['follower_us']:.2f} | {row['p99']:.2f} |")
            out += ["", "One shard with three replicas, clients spread over the three nodes. With `lease` two thirds of the reads are forwarded to the leader."]
        out.append("")
    return "\n".join(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--reads", type=int, default=600_000)
    parser.add_argument("--dir", help="where the servers keep their data")
    options = parser.parse_args()
    parts = options.only.split(",")
    require("redis-benchmark", *(["etcd", "etcdctl"] if "writes" in parts else []))
    kept = cache_dir() / "bench-cluster.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="kvorum-bench-", dir=options.dir) as directory:
            found = {"idle": idle, "bus": bus, "writes": writes, "reads": reads}[part](Path(directory), options)
        print(part, json.dumps(found, indent=1), flush=True)
        figures[part] = {"figures": found, "machine": machine()}
        kept.write_text(json.dumps(figures))
    (HERE / "RESULTS.md").write_text(markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
