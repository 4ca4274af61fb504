"""Peak memory of a first sync and of a sweep, each in a process of its own: ``python memory.py new 1000``."""

import resource
import subprocess
import sys
from pathlib import Path

from core import kit
from figures import Figure, Table
from listing import STREAM, Scripted, pages_of

from poller import log
from poller.poll import poll

KINDS = {"new": "first sync, with events", "idle": "idle sweep with bodies", "changed": "all changed"}


def report(records: int) -> Table:
    """Peak resident MB with few and with many records; pages are made as they are asked for."""
    empty = _peak_mb("new", 0)
    counts = (0, max(records // 10, 1), records)
    figures = [
        Figure(name, {f"{count:,} records": [_peak_mb(kind, count) if count else empty] for count in counts})
        for kind, name in KINDS.items()
    ]
    return Table("Peak memory: MB", figures)


def _peak_mb(kind: str, records: int) -> float:
    command = [sys.executable, __file__, kind, str(records)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_kb() -> int:
    """Peak resident memory of this process alone; ``ru_maxrss`` may count that of who started it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _work(kind: str, records: int) -> None:
    source = Scripted(lambda: pages_of(records))
    with kit(source, emit=kind == "new") as tools:
        poll(tools, STREAM)
        source.answers = lambda: pages_of(records, 1 if kind == "changed" else 0)
        if kind != "new":
            poll(tools, STREAM, full=kind == "idle")


if __name__ == "__main__":
    log.configure("error")
    _work(sys.argv[1], int(sys.argv[2]))
    print(peak_kb() / 1024)
