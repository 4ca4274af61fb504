"""What a scrape of the metrics costs: how long it takes, and how large it is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure, Table

from poller.meter import Meter
from poller.metrics import Scrape, render
from poller.model import Kind, Stream
from poller.plan import Plan, Watch
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Progress, Step
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the 20,000 commits before the measurement need no disk."""

TEN = [row for row in RESOURCES.values() if not row.opt_in]
SIZES = (10, 2000)
"""Organizations: each has a stream of every resource."""


def report(runs: int) -> Table:
    """Milliseconds and kilobytes, by the number of streams."""
    return Table("A scrape of the metrics, with two sinks", [_figure(organizations, runs) for organizations in SIZES])


def _figure(organizations: int, runs: int) -> Figure:
    with _scrape(organizations) as scrape:
        render(scrape)  # the first one imports what it needs
        timings_ms, sizes = [], []
        for _ in range(runs):
            began_s = time.perf_counter()
            sizes.append(len(render(scrape).body) / 1000)
            timings_ms.append((time.perf_counter() - began_s) * 1000)
    return Figure(f"{organizations * len(TEN):,} streams", {"kB": sizes, "ms": timings_ms})


@contextmanager
def _scrape(organizations: int) -> Iterator[Scrape]:
    plan = Plan({row.name: Watch(row, 60.0, 3600.0, 300.0) for row in TEN})
    sinks = ["one", "two"]
    meter = Meter()
    meter.begin(resource=plan.watches, sink=sinks, trigger=[f"{row.singular}.{kind}" for row in TEN for kind in Kind])
    with TemporaryDirectory(prefix="poller-bench-", dir=MEMORY) as folder:
        path, now_ms = Path(folder) / "poller.db", time.time_ns() // 1_000_000
        store = SqliteStore(path, "spaceinvoices")
        try:
            for number in range(organizations):
                for row in TEN:
                    store.commit(Stream(f"{number:024}", row.name), Step(Progress(now_ms, live=100)), now_ms)
            yield Scrape(meter, path, plan, sinks, now_ms)
        finally:
            store.close()
