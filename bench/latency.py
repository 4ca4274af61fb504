"""From a page to the first attempt: how long an event waits where nothing else is to be done."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx
from core import plan
from delivery import receiver
from figures import Figure, Table, most
from listing import STREAM, Scripted, pages_of

from poller.deliver import drain
from poller.service import Service
from poller.sinks import kinds
from poller.stores import Step
from poller.stores.sqlite import SqliteStore

PAUSE_S = 0.06
"""Between two events, on average: by then every thread of the drain sleeps again."""


class Stamping(SqliteStore):
    """The store, which notes when a commit with an event has returned."""

    def __init__(self, path: Path, source: str) -> None:
        super().__init__(path, source)
        self.committed_ns: list[int] = []

    def commit(self, stream: object, step: Step, now_ms: int) -> int:
        """Commit as ever."""
        events = super().commit(stream, step, now_ms)
        if events:
            self.committed_ns.append(time.monotonic_ns())
        return events


def report(events: int, runs: int) -> Table:
    """Milliseconds, of so many events one at a time; the receiver is a process of its own."""
    waits = [_waits_ms(events, Random(run)) for run in range(runs)]
    figures = [
        Figure(
            name, {"p50": [_at(run[place], 0.5) for run in waits], "p99": [_at(run[place], 0.99) for run in waits]}, to
        )
        for place, (name, to) in enumerate((("since its page arrived", (most(100),)), ("since its commit", ())))
    ]
    return Table(f"Latency: milliseconds until a receiver has the request ({events:,} events)", figures)


def _at(values: Sequence[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


def _waits_ms(events: int, rng: Random) -> tuple[list[float], list[float]]:
    """How long it took from each page, and from the return of its commit, until the receiver had the request."""
    arrived_ns: list[int] = []
    with receiver() as url, _service(url) as (service, source, store):
        service.poll(STREAM)  # the baseline
        for number in range(events):
            source.answers = partial(_arriving, arrived_ns, list(pages_of(1, number + 1)))
            service.poll(STREAM)
            time.sleep(PAUSE_S * (0.5 + rng.random()))
        _until_delivered(store)
        came_ns = [int(line) for line in httpx.get(url.replace("/hook", "/times"), trust_env=False).text.split()]
    if len(came_ns) != events or len(store.committed_ns) != events:
        raise AssertionError("not every event was delivered once: what was measured is not what was meant")
    return _between_ms(arrived_ns, came_ns), _between_ms(store.committed_ns, came_ns)


def _arriving(arrived_ns: list[int], pages: list[bytes]) -> list[bytes]:
    arrived_ns.append(time.monotonic_ns())
    return pages


def _between_ms(begins_ns: Sequence[int], ends_ns: Sequence[int]) -> list[float]:
    return [(end - begin) / 1e6 for begin, end in zip(begins_ns, ends_ns, strict=True)]


@contextmanager
def _service(url: str) -> Iterator[tuple[Service, Scripted, Stamping]]:
    """A service with one sink, its drain under way in a thread as the daemon has it."""
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        secret = Path(folder) / "secret"
        secret.touch(mode=0o600)
        secret.write_text("a secret of the benchmark, 36 bytes.")
        sink = kinds()["webhook"].model_validate({"kind": "webhook", "url": url, "secret": {"file": str(secret)}})
        source, stop = Scripted(), threading.Event()
        source.answers = lambda: pages_of(1)
        store = Stamping(Path(folder) / "poller.db", source.name)
        service = Service(plan(), source, store, {"webhook": sink.sink()}, stop)
        threads = [threading.Thread(target=drain, args=(queue, stop)) for queue in service.drains]
        for thread in threads:
            thread.start()
        try:
            yield service, source, store
        finally:
            stop.set()
            service.wake()
            for thread in threads:
                thread.join()
            service.close()


def _until_delivered(store: SqliteStore) -> None:
    ends_at = time.monotonic() + 60
    while store.load().pending:
        if time.monotonic() > ends_at:
            raise AssertionError("some events were not delivered")
        time.sleep(0.01)
