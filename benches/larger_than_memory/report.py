"""Writes what run.py measured as a page, RESULTS.md."""

from pathlib import Path

PARTS = {
    "get": "GET, all keys alike",
    "set": "SET, all keys alike",
    "mixed": "nine GETs to a SET",
    "keyrange": "KEYRANGE, 100 keys with values",
}
MIB = 1 << 20


def write(measured: dict, folder: Path):
    """Writes the page."""
    machine = measured["machine"]
    engines = [engine for engine in ("lsm", "btree") if engine in measured]
    first = measured[engines[0]]
    lines = [
        "# A data set larger than memory",
        "",
        "Written by `make bench-large` (`benches/larger_than_memory/run.py`); do not edit.",
        "",
        f"Measured {machine['date']} on {machine['cores']} cores ({machine['cpu']}), Linux {machine['kernel']}. "
        f"{first['keys']:,} values of {measured['value_bytes']} bytes that cannot be compressed. Memory of the server: "
        f"{first['limit']}; default settings, `appendfsync everysec`. {measured['clients']} clients on the same cores, one "
        "request at a time each, keys chosen at random over all, every reply checked against what was written. The disk "
        f"gives {measured['disk_reads']:,.0f} random reads of 4 KiB a second to as many threads. "
        f"Before it began the machine's load average was {measured['load']:.1f}: "
        + ("others used its cores as well, and rates would be higher without them." if measured["load"] > 1 else "it was idle."),
        "",
        "| engine | what | requests/s | p50 ms | p99 ms | longest ms | server CPU µs a request | read from disk a request |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for engine in engines:
        lines.append(f"| {engine} | load, in order, pipelines of 100 | {measured[engine]['load_rate']:,.0f} | | | | | |")
        for part, values in measured[engine]["parts"].items():
            lines.append(
                f"| {engine} | {PARTS[part]} | {values['rate']:,.0f} | {values['p50_ms']:.2f} | {values['p99_ms']:.1f} | "
                f"{values['longest_ms']:.0f} | {values['cpu_us']:.0f} | {values['read_bytes'] / 1024:.1f} KiB |"
            )
    lines += [
        "",
        "| engine | most resident | of that its own, not pages of files | engine's files | log | restart after a kill | killed for memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for engine in engines:
        values = measured[engine]
        sizes = [f"{values[name] // MIB:,} MiB" for name in ("resident", "anonymous", "engine_disk", "log_disk")]
        lines.append(f"| {engine} | {' | '.join(sizes)} | {values['restart_s']:.1f} s | {values['kills']} times |")
    (folder / "RESULTS.md").write_text("\n".join(lines) + "\n")
