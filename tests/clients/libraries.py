"""The client libraries that tests run, at fixed versions, installed into the cache directory when missing."""

import json
import re
import subprocess
import venv
from pathlib import Path

PYTHON_PACKAGES = {"redis": "8.1.0"}
NODE_PACKAGES = {"ioredis": "5.9.2", "redis": "5.12.1"}


def install_python(place: Path) -> str:
    """A virtual environment with the Python packages; returns its interpreter."""
    wanted = " ".join(f"{name}=={version}" for name, version in PYTHON_PACKAGES.items())
    stamp, python = place / ".installed", str(place / "bin" / "python")
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted.split()], check=True)
        stamp.write_text(wanted)
    return python


def install_node(place: Path) -> Path:
    """A folder with the Node packages; returns their node_modules."""
    wanted = json.dumps({"private": True, "dependencies": NODE_PACKAGES})
    stamp = place / ".installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text(wanted)
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "install", *quiet], cwd=place, check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return place / "node_modules"


def count(output: str) -> tuple:
    """How many tests passed and failed, from what unittest or node's runner printed at its end."""
    node = [re.search(rf"^(?:#|ℹ) {word} (\d+)$", output, re.M) for word in ("pass", "fail")]
    if all(node):
        return int(node[0].group(1)), int(node[1].group(1))
    ran = re.search(r"^Ran (\d+) tests?", output, re.M)
    bad = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", output))
    return (int(ran.group(1)) - bad, bad) if ran else (0, 1)
