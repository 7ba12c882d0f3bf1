"""Gets the source of Redis 7.0.15, for its test suite, as Debian's source package.

The package comes through apt with a source list and state of our own in the cache directory, made
from the machine's own Debian entries: the system's lists are neither needed nor changed. Nothing of
Redis is kept in this repository.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from harness import cache_dir, require  # noqa: E402

VERSION = "7.0.15"
# The harness calls FUNCTION FLUSH before anything else, outside every test, so a server without
# that command would run nothing at all. This is the only change made to the unpacked copy.
HARNESS_FILE = "tests/support/server.tcl"
HARNESS_CHANGE = ("    r function flush\n", "    catch {r function flush}\n")


def source_entries() -> tuple:
    """The machine's binary package entries as source entries, in deb822 and one-line form."""
    deb822, one_line = [], []
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for place in (place for place in places if place.is_file()):
        text = place.read_text()
        if place.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
                if any(re.match(r"Types:.*\bdeb\b", line) for line in lines) and "debian" in stanza:
                    deb822.append("\n".join("Types: deb-src" if line.startswith("Types:") else line for line in lines))
        elif place.suffix == ".list":
            for line in text.splitlines():
                if re.match(r"deb\s", line) and "debian" in line:
                    one_line.append(re.sub(r"^deb\s", "deb-src ", line))
    return "\n\n".join(deb822) + "\n", "\n".join(one_line) + "\n"


def download(into: Path):
    """Downloads the source package's files."""
    require("apt-get", "dpkg-source")
    for folder in ("lists/partial", "archives/partial", "sources"):
        (into / folder).mkdir(parents=True, exist_ok=True)
    deb822, one_line = source_entries()
    (into / "sources" / "debian.sources").write_text(deb822)
    (into / "sources" / "debian.list").write_text(one_line)
    options = [
        "-o", "Dir::Etc::sourcelist=/dev/null",
        "-o", f"Dir::Etc::sourceparts={into}/sources",
        "-o", f"Dir::State::lists={into}/lists",
        "-o", f"Dir::Cache={into}",
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    # Debian's revision is left open: security updates change it, and not the tests.
    listing = subprocess.run(
        ["apt-cache", *options, "showsrc", "redis"], check=True, capture_output=True, text=True
    ).stdout
    versions = re.findall(rf"^Version: (\S*\b{re.escape(VERSION)}-\S+)", listing, re.M)
    if not versions:
        raise SystemExit(
            f"this machine's Debian offers no source of redis {VERSION} (Debian 12 does); "
            "unpack one yourself and name it in REDIS_SOURCE"
        )
    subprocess.run(
        ["apt-get", *options, "-qq", "source", "--download-only", f"redis={versions[0]}"], check=True, cwd=into
    )


def redis_source() -> Path:
    """The directory of the unpacked source, fetched when it is not there yet."""
    if os.environ.get("REDIS_SOURCE"):
        return Path(os.environ["REDIS_SOURCE"])
    tree = cache_dir() / f"redis-{VERSION}"
    if (tree / ".complete").exists():
        return tree
    require("redis-server", "redis-cli", "redis-benchmark", "tclsh")
    print(f"fetching the source package of redis {VERSION} …", flush=True)
    work = cache_dir() / "redis-source"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    work.mkdir(parents=True)
    download(work)
    description = next(work.glob(f"redis_{VERSION}-*.dsc"))
    subprocess.run(["dpkg-source", "--no-check", "--no-copy", "-x", description, tree], check=True, stdout=subprocess.DEVNULL)
    for program in ("redis-server", "redis-cli", "redis-benchmark"):
        link = tree / "src" / program
        link.unlink(missing_ok=True)
        link.symlink_to(shutil.which(program))
    harness = tree / HARNESS_FILE
    text = harness.read_text()
    if HARNESS_CHANGE[0] not in text:
        raise SystemExit(f"{HARNESS_FILE} is not as expected: no line {HARNESS_CHANGE[0].strip()!r}")
    harness.write_text(text.replace(*HARNESS_CHANGE))
    shutil.rmtree(work)
    (tree / ".complete").touch()
    return tree


if __name__ == "__main__":
    print(redis_source())
