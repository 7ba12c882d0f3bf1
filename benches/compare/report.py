"""Writes what run.py measured as a page (RESULTS.md) and a picture (results.svg)."""

from html import escape
from pathlib import Path
from statistics import median

TESTS = ("SET", "GET", "HSET", "INCR", "MSET")
DURABILITIES = ("everysec", "always", "no")
DURABILITY_TITLES = {
    "everysec": "appendonly yes, appendfsync everysec",
    "always": "appendonly yes, appendfsync always",
    "no": "appendonly no",
}
COLOURS = {
    "redis": "#9aa0a6",
    "redis same": "#5f6368",
    "kvorum hash": "#1a73e8",
    "kvorum lsm": "#e8710a",
    "kvorum btree": "#188038",
}


def thousands(rps: float) -> str:
    """Requests per second as people read them."""
    return f"{rps / 1000:.0f}k" if rps >= 9950 else f"{rps / 1000:.1f}k"


def index(throughput: dict) -> dict:
    """By durability, test and pipeline: the servers' values, the engines of several runs side by side."""
    found = {}
    for key, servers in throughput.items():
        engine, durability, test, pipeline = key.split("/")
        row = found.setdefault(durability, {}).setdefault((test, int(pipeline)), {})
        row[engine] = servers
    return found


def table(rows: dict, durability: str) -> list:
    """The Markdown table of one durability."""
    lines = [
        "| test | P | engine | redis, none | redis, same | kvorum | to redis, none | to redis, same | p99 ms (redis, kvorum) | CPU µs a request (redis, kvorum) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    if durability == "no":
        lines = [
            "| test | P | engine | redis | kvorum | to redis | p99 ms (redis, kvorum) | CPU µs a request (redis, kvorum) |",
            "|---|---|---|---|---|---|---|---|",
        ]
    for (test, pipeline), engines in sorted(rows.items(), key=lambda item: (TESTS.index(item[0][0]), item[0][1])):
        for engine, servers in engines.items():
            reference, own = servers["redis"], servers[f"kvorum {engine}"]
            same = servers.get(f"redis {durability}")
            cells = [test, str(pipeline), engine, thousands(reference["rps"])]
            if same:
                cells.append(thousands(same["rps"]))
            cells += [thousands(own["rps"]), f"**×{own['rps'] / reference['rps']:.2f}**"]
            if same:
                cells.append(f"×{own['rps'] / same['rps']:.2f}")
            compared = same or reference
            cells.append(f"{compared['p99_ms']:.2f}, {own['p99_ms']:.2f}")
            cells.append(f"{reference['cpu_us']:.1f}, {own['cpu_us']:.1f}")
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def families_table(found: dict) -> list:
    """Every data type, each engine beside redis, and what the ratios come to."""
    if not found:
        return []
    lines = [
        "",
        "## Every data type",
        "",
        "redis-benchmark's default tests and XADD on an emptied store, kvorum with `appendfsync everysec` beside redis without "
        "persistence.",
        "",
        "| test | P | redis | hash | to redis | CPU µs a request (redis, hash) | p99 ms (redis, hash) |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios = {}
    on_disk = found.get("on disk", {})
    for key, servers in found.items():
        if servers is on_disk:
            continue
        test, pipeline = key.split("/")
        redis, own = servers["redis"], servers.get("kvorum hash")
        if own is None:
            continue
        ratios.setdefault(int(pipeline), {})[test] = own["rps"] / redis["rps"]
        cells = [test, pipeline, thousands(redis["rps"]), thousands(own["rps"]), f"**×{own['rps'] / redis['rps']:.2f}**"]
        cells += [f"{redis['cpu_us']:.1f}, {own['cpu_us']:.1f}", f"{redis['p99_ms']:.2f}, {own['p99_ms']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for pipeline, by_test in sorted(ratios.items()):
        lowest = min(by_test, key=by_test.get)
        lines.append(
            f"P={pipeline}: the median ratio of the hash engine to redis is ×{median(by_test.values()):.2f}, the lowest ×{by_test[lowest]:.2f} ({lowest})."
        )
    return lines + on_disk_table(on_disk)


def on_disk_table(found: dict) -> list:
    """Every data type, the engines on disk beside the hash engine in one run."""
    if not found:
        return []
    names = sorted({name for servers in found.values() for name in servers if name.startswith("kvorum ")} - {"kvorum hash"}, reverse=True)
    dates = sorted({servers["date"] for servers in found.values()})
    lines = [
        "",
        f"The engines on disk beside the hash engine, in one run of all ({', '.join(dates)}):",
        "",
        "| test | P | hash | " + " | ".join(f"{name.removeprefix('kvorum ')} | to hash" for name in names) + " |",
        "|---|---|---|" + "---|---|" * len(names),
    ]
    for key, servers in found.items():
        own = servers["kvorum hash"]["rps"]
        cells = [*key.split("/"), thousands(own)]
        for name in names:
            measured = name in servers
            cells += [thousands(servers[name]["rps"]), f"×{servers[name]['rps'] / own:.2f}"] if measured else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def collections_table(found: dict) -> list:
    """Memory of each kind of value."""
    if not found:
        return []
    names = sorted({key.split("/")[1] for key in found}, key=lambda name: (name != "redis", name))
    lines = [
        "",
        "## Memory of collections",
        "",
        "Bytes an element of one large value, or a whole small value with its key of 10 bytes, over the empty server: resident, and as "
        "INFO's used_memory has it.",
        "",
        "| what | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for kind in dict.fromkeys(key.split("/")[0] for key in found):
        cells = [f"{found[f'{kind}/{name}']['rss']:.0f}, {found[f'{kind}/{name}']['used']:.0f}" for name in names if f"{kind}/{name}" in found]
        count = next(values["count"] for key, values in found.items() if key.startswith(f"{kind}/"))
        lines.append(f"| {kind}, {count:,} | " + " | ".join(cells) + " |")
    return lines


def queue_table(found: dict) -> list:
    """Pops after millions of pushes and pops."""
    if not found:
        return []
    part = next(iter(found.values()))["part"]
    lines = [
        "",
        "## Queues",
        "",
        f"Pops from the front, {part:,} at a time with a pipeline of 64, each time after as many pushes: CPU µs a pop, and pops a second, "
        "the first time and the last of ten.",
        "",
        "| queue | server | CPU µs a pop, first | last | highest | pops a second, first | last |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, values in found.items():
        kind, name = key.split("/")
        cpu, rps = values["cpu_us"], values["rps"]
        lines.append(
            f"| {kind} | {name} | {cpu[0]:.1f} | {cpu[-1]:.1f} | {max(cpu):.1f} | {thousands(rps[0])} | {thousands(rps[-1])} |"
        )
    return lines


def extra_tables(measured: dict) -> list:
    """The tables of memory, restart, snapshot and idle, where they were measured."""
    lines = []

    def add(title: str, part: str, text: str, head: list, row):
        if not measured.get(part):
            return
        lines.extend(["", f"## {title}", "", text, "", "| server | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"])
        for name, values in measured[part].items():
            lines.append(f"| {name} | " + " | ".join(row(values)) + " |")

    keys = next((f"{values['keys']:,}" for part in ("memory", "restart", "snapshot") for values in measured.get(part, {}).values()), "")
    add(
        "Memory", "memory", f"{keys} strings of 64 bytes under keys of 16 bytes, over the empty server.",
        ["resident B a key", "used_memory B a key", "disk B a key", "empty server, MiB resident"],
        lambda v: [f"{v['rss_per_key']:.0f}", f"{v['used_per_key']:.0f}", f"{v['disk_per_key']:.0f}", f"{v['empty_rss'] / (1 << 20):.0f}"],
    )  # fmt: skip
    add(
        "Restart", "restart", f"Seconds from the start of the process to its first answer, with {keys} keys and `everysec`.",
        ["after a clean end, s", "after SIGKILL, s"], lambda v: [f"{v['clean_s']:.2f}", f"{v['killed_s']:.2f}"],
    )  # fmt: skip
    add(
        "Snapshot", "snapshot",
        f"The longest that a client waited for a GET while others wrote, {keys} keys: without and with BGSAVE.",
        ["without, ms", "with, ms", "snapshot took, s"],
        lambda v: [f"{v['load_ms']:.1f}", f"{v['snapshot_ms']:.1f}", f"{v['took_s']:.1f}"],
    )  # fmt: skip
    add(
        "Idle", "idle", "A server with nothing to do, over ten seconds; then with 500 idle connections.",
        ["CPU, % of a core", "the same, 500 connections", "resident MiB", "KiB a connection"],
        lambda v: [f"{100 * v['cpu_share']:.1f}", f"{100 * v['cpu_share_connected']:.1f}", f"{v['rss'] / (1 << 20):.0f}", f"{v['rss_per_connection'] / 1024:.1f}"],
    )  # fmt: skip
    return lines


def write(measured: dict, folder: Path):
    """Writes RESULTS.md and results.svg."""
    machine = measured.get("machine", {})
    lines = [
        "# kvorum beside redis-server",
        "",
        "Written by `make bench` (`benches/compare/run.py`); do not edit.",
        "",
        f"Measured {machine.get('date', '')} on {machine.get('cores', '?')} cores ({machine.get('cpu', '?')}), "
        f"{machine.get('memory_gib', '?')} GiB, Linux {machine.get('kernel', '?')}, against redis-server {machine.get('redis', '?')}. "
        "Client and server share the cores. redis-benchmark with 50 connections, 64-byte values, a million different keys; "
        "medians of alternating runs. *redis, none* has no persistence, *redis, same* has the durability of the heading. "
        "HSET fills one hash; MSET writes ten keys a request. "
        f"The fastest and the slowest run of one kind typically differed by {100 * spread(measured.get('throughput', {})):.0f} %.",
    ]
    rows = index(measured.get("throughput", {}))
    if rows:
        lines += ["", "![requests per second](results.svg)"]
    for durability in DURABILITIES:
        if durability in rows:
            lines += ["", f"## Requests per second, {DURABILITY_TITLES[durability]}", "", *table(rows[durability], durability)]
    lines += families_table(measured.get("families", {}))
    lines += extra_tables(measured)
    lines += collections_table(measured.get("collections", {}))
    lines += queue_table(measured.get("queue", {}))
    (folder / "RESULTS.md").write_text("\n".join(lines) + "\n")
    if rows:
        (folder / "results.svg").write_text(picture(rows))


def bars_of(engines: dict, durability: str) -> list:
    """The bars of one group, redis first: (name, requests per second, ratio to redis or None).

    Redis was measured again beside each engine: its bars are the medians of those, and a ratio is
    to the redis that ran in the same minutes.
    """
    groups = list(engines.values())
    bars = [("redis", median(group["redis"]["rps"] for group in groups), None)]
    same = [group for group in groups if f"redis {durability}" in group]
    if same:
        ratio = median(group[f"redis {durability}"]["rps"] / group["redis"]["rps"] for group in same)
        bars.append(("redis same", median(group[f"redis {durability}"]["rps"] for group in same), ratio))
    for engine, servers in engines.items():
        rps = servers[f"kvorum {engine}"]["rps"]
        bars.append((f"kvorum {engine}", rps, rps / servers["redis"]["rps"]))
    return bars


def spread(throughput: dict) -> float:
    """How far apart, as a share of the median, the fastest and slowest run of one kind typically were."""
    found = [
        (values["highest_rps"] - values["lowest_rps"]) / values["rps"]
        for servers in throughput.values()
        for values in servers.values()
    ]
    return median(found) if found else 0.0


def picture(rows: dict) -> str:
    """Horizontal bars: a row of panels for each durability, one panel for each pipeline depth."""
    durabilities = [durability for durability in DURABILITIES if durability in rows]
    pipelines = sorted({pipeline for durability in durabilities for _, pipeline in rows[durability]})
    bar, gap, left, panel, between, top = 13, 14, 62, 330, 26, 96
    body, y = [], top
    width = left + len(pipelines) * (panel + between)

    def text(x, y, words, size=12, colour="#202124", anchor="start", weight="normal"):
        body.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
        )

    for durability in durabilities:
        tests = [test for test in TESTS if any(test == name for name, _ in rows[durability])]
        text(12, y, DURABILITY_TITLES[durability], 15, weight="bold")
        y += 24
        height = 0
        for column, pipeline in enumerate(pipelines):
            x = left + column * (panel + between)
            groups = [(test, bars_of(rows[durability][test, pipeline], durability)) for test in tests if (test, pipeline) in rows[durability]]
            if not groups:
                continue
            text(x, y, "no pipelining" if pipeline == 1 else f"pipeline of {pipeline}", 12, "#5f6368")
            longest = max(rps for _, bars in groups for _, rps, _ in bars)
            line = y + 12
            for test, bars in groups:
                if column == 0:
                    text(left - 8, line + len(bars) * bar / 2 + 4, test, 12, anchor="end", weight="bold")
                for name, rps, ratio in bars:
                    length = max(1.0, (panel - 92) * rps / longest)
                    body.append(f'<rect x="{x}" y="{line:.1f}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
                    label = thousands(rps) + ("" if ratio is None else f"  ×{ratio:.2f}")
                    text(x + length + 5, line + bar - 4, label, 10, "#3c4043")
                    line += bar
                line += gap
            body.append(f'<line x1="{x}" y1="{y + 8}" x2="{x}" y2="{line - gap + 2:.1f}" stroke="#dadce0"/>')
            height = max(height, line - y)
        y += height + 28
    names = ["redis", "redis same"] + [name for name in COLOURS if name.startswith("kvorum")]
    labels = {"redis": "redis, no persistence", "redis same": "redis, same durability"}
    legend, x = [], 12
    for name in names:
        label = labels.get(name, name)
        legend.append(f'<rect x="{x}" y="50" width="12" height="12" fill="{COLOURS[name]}"/>')
        legend.append(f'<text x="{x + 17}" y="60" font-size="12" fill="#202124">{escape(label)}</text>')
        x += 40 + 7 * len(label)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:.0f}" viewBox="0 0 {width} {y:.0f}" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">\n'
        f'<rect width="{width}" height="{y:.0f}" fill="#ffffff"/>\n'
        '<text x="12" y="28" font-size="19" font-weight="bold" fill="#202124">Requests per second, kvorum beside redis-server</text>\n'
        + "\n".join(legend + body)
        + "\n</svg>\n"
    )
