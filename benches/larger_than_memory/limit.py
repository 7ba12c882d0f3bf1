"""A real limit on a process's memory: a control group of its own.

Everything the process causes to be in memory counts, the page cache of its files included: that is what makes
a data set larger than memory, for a file that is mapped as well as for one that is read. Needs root.
"""

import os
import time
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class MemoryLimit:
    """A memory control group, version 1 or 2, removed at the end; `kind` is "none" where there can be none."""

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self.kind, self.group = "none", None

    def __enter__(self):
        name = f"kvorum-bench-{os.getpid()}"
        try:
            if (V1 / "memory.limit_in_bytes").exists():
                self._make(V1 / name, "cgroup v1", {"memory.limit_in_bytes": self.limit_bytes})
                self._try_write("memory.memsw.limit_in_bytes", self.limit_bytes)
            elif "memory" in (V2 / "cgroup.subtree_control").read_text().split():
                self._make(V2 / name, "cgroup v2", {"memory.max": self.limit_bytes, "memory.swap.max": 0})
        except OSError:
            self._remove()
        return self

    def __exit__(self, *_):
        self._remove()

    def _make(self, group: Path, kind: str, limits: dict):
        group.mkdir()
        self.group = group
        for name, value in limits.items():
            (group / name).write_text(str(value))
        self.kind = kind

    def _try_write(self, name: str, value: int):
        try:
            (self.group / name).write_text(str(value))
        except OSError:
            pass  # Swap is not accounted for on this machine.

    def _remove(self):
        group, self.group, self.kind = self.group, None, "none"
        for _ in range(50):
            try:
                if group and group.exists():
                    group.rmdir()
                return
            except OSError:
                time.sleep(0.1)  # The last process is still being taken apart.

    def prefix(self) -> list:
        """The beginning of a command line that runs the rest inside the limit."""
        if self.group is None:
            return []
        return ["sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh"]

    def describe(self) -> str:
        """The limit in words."""
        if self.group is None:
            return "no limit could be set"
        return f"{self.limit_bytes >> 20} MiB by {self.kind}, page cache of its files included"

    def kills(self) -> int:
        """How often the kernel killed a process for exceeding the limit."""
        if self.group is None:
            return 0
        name = "memory.oom_control" if self.kind == "cgroup v1" else "memory.events"
        for line in (self.group / name).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0
