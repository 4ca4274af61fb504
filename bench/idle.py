"""What an idle poll costs: one increment, one empty page, and the schedule kept."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
from core import plan
from figures import Figure, Table, Target, Timing, most, timed
from listing import STREAM, Scripted

from poller.model import Stream
from poller.service import Service
from poller.sources import Source
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores.sqlite import SqliteStore


class Server(NamedTuple):
    """The simulator in a process of its own."""

    url: str
    token: str


def report(polls: int, runs: int) -> Table:
    """CPU and time of a poll, by turns: without HTTP, with HTTP, and of bare httpx for the same request."""
    with simulator() as server, ExitStack() as stack:
        api = SpaceInvoices(server.token, base_url=server.url, rate=1e9)
        org = api.organizations()[0].id
        acts = [
            stack.enter_context(_polling(Scripted(), STREAM)),
            stack.enter_context(_polling(api, Stream(org, STREAM.resource))),
            stack.enter_context(_asking(server, org)),
        ]
        spent = [[_timed(polls, act) for act in acts] for _ in range(runs)]
    without, ours, bare = zip(*spent, strict=True)
    above = [Timing(a.cpu_s - b.cpu_s, a.wall_s - b.wall_s) for a, b in zip(ours, bare, strict=True)]
    return Table(
        f"Idle poll: microseconds ({polls:,} polls)",
        [
            _figure("without HTTP", polls, without),
            _figure("with HTTP", polls, ours),
            _figure("bare httpx, the same request", polls, bare),
            _figure("with HTTP, above bare httpx", polls, above, most(1300, "CPU")),
        ],
    )


@contextmanager
def simulator() -> Iterator[Server]:
    """Start the simulator, empty and unchanging; stop it at the end."""
    command = [sys.executable, "-m", "poller.simulator", "--organizations", "1", "--records", "0", "--rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline().split() for _ in range(2)] if process.stdout else []
            yield Server(**dict(lines))
        finally:
            process.terminate()


@contextmanager
def _polling(source: Source, stream: Stream) -> Iterator[Callable[[], object]]:
    """An idle poll of a stream that has its baseline."""
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        store = SqliteStore(Path(folder) / "poller.db", source.name)
        service = Service(plan(), source, store, {}, threading.Event())
        service.poll(stream)
        yield lambda: service.poll(stream)
        service.close()


@contextmanager
def _asking(server: Server, org: str) -> Iterator[Callable[[], object]]:
    """The request that such a poll makes."""
    url = f"{server.url}/Organizations/{org}/clients"
    query = (
        '?filter={"where":{"updatedAt":{"gte":"2026-01-01T00:00:00.000Z"}},'
        '"order":["updatedAt ASC","id ASC"],"limit":100,"deleted":true}'
    )
    address = str(httpx.URL(url + query))
    with httpx.Client(headers={"Authorization": server.token}, trust_env=False) as client:
        client.get(address).raise_for_status()
        yield lambda: client.get(address)


def _timed(count: int, act: Callable[[], object]) -> Timing:
    with timed() as timing:
        for _ in range(count):
            act()
    return timing


def _figure(name: str, count: int, timings: Sequence[Timing], *targets: Target) -> Figure:
    return Figure(
        name,
        {
            "CPU": [timing.cpu_s / count * 1e6 for timing in timings],
            "time": [timing.wall_s / count * 1e6 for timing in timings],
        },
        targets,
    )
