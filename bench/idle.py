"""What an idle poll costs: one increment, one empty page, and the schedule kept."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
from core import plan
from figures import Figure, Table, timed
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
    """CPU and time of a poll: without HTTP, with HTTP, and of bare httpx for the same request."""
    with simulator() as server:
        api = SpaceInvoices(server.token, base_url=server.url, rate=1e9)
        org = api.organizations()[0].id
        figures = [
            _polling("without HTTP", Scripted(), STREAM, polls, runs),
            _polling("with HTTP", api, Stream(org, STREAM.resource), polls, runs),
            _asking("bare httpx, the same request", server, org, polls, runs),
        ]
    return Table(f"Idle poll: microseconds ({polls:,} polls)", figures)


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


def _polling(name: str, source: Source, stream: Stream, polls: int, runs: int) -> Figure:
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        store = SqliteStore(Path(folder) / "poller.db", source.name)
        service = Service(plan(), source, store, {}, threading.Event())
        service.poll(stream)  # the baseline
        figure = _each(name, polls, runs, lambda: service.poll(stream))
        service.close()
    return figure


def _asking(name: str, server: Server, org: str, polls: int, runs: int) -> Figure:
    url = f"{server.url}/Organizations/{org}/clients"
    query = (
        '?filter={"where":{"updatedAt":{"gte":"2026-01-01T00:00:00.000Z"}},'
        '"order":["updatedAt ASC","id ASC"],"limit":100,"deleted":true}'
    )
    address = str(httpx.URL(url + query))
    with httpx.Client(headers={"Authorization": server.token}, trust_env=False) as client:
        client.get(address).raise_for_status()
        return _each(name, polls, runs, lambda: client.get(address))


def _each(name: str, count: int, runs: int, act: Callable[[], object]) -> Figure:
    timings = []
    for _ in range(runs):
        with timed() as timing:
            for _ in range(count):
                act()
        timings.append(timing)
    return Figure(
        name,
        {
            "CPU": [timing.cpu_s / count * 1e6 for timing in timings],
            "time": [timing.wall_s / count * 1e6 for timing in timings],
        },
    )
