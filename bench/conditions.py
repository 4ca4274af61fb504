"""A sweep where the server honours conditions (``If-None-Match``), beside one where it always shows everything."""

from contextlib import ExitStack

from api import api
from core import kit
from figures import Figure, Table, timed
from listing import STREAM

from poller.http import Response
from poller.poll import poll
from poller.running import Poll, Tools
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores import Pass
from poller.sweep import sweep

KINDS = {"with bodies": Pass.FULL, "of ids": Pass.IDS}
SERVERS = {"shown again": "first", "asked on condition": "tagged"}


class Weighed(SpaceInvoices):
    """The source, which counts the bytes of all bodies that it was sent."""

    received_bytes = 0

    def _try(self, url: str, parent: str, tag: str) -> tuple[Response | str, float]:
        answer, wait_s = super()._try(url, parent, tag)
        if isinstance(answer, Response):
            self.received_bytes += len(answer.body)
        return answer, wait_s


def report(records: int, runs: int) -> Table:
    """CPU and bytes a record of sweeps that find nothing."""
    with api(records) as url, ExitStack() as stack:
        figures = []
        for words, part in SERVERS.items():
            source = Weighed("t" * 64, base_url=f"{url}/{part}/v1", rate=1e9)
            tools = stack.enter_context(kit(source))
            poll(tools, STREAM)
            figures += [_figure(f"{name}, {words}", tools, source, kind, records, runs) for name, kind in KINDS.items()]
    return Table(f"Idle sweep, from a server ({records:,} records)", figures)


def _figure(name: str, tools: Tools, source: Weighed, kind: Pass, records: int, runs: int) -> Figure:
    sweep(Poll(tools, STREAM), kind)  # from now on it is known what each page shows
    samples: dict[str, list[float]] = {"µs of CPU a record": [], "bytes a record": []}
    for _ in range(runs):
        before_bytes = source.received_bytes
        with timed() as timing:
            run = Poll(tools, STREAM)
            sweep(run, kind)
        if run.events:
            raise AssertionError(f"{run.events} events, but nothing changed")
        samples["µs of CPU a record"].append(timing.cpu_s / records * 1e6)
        samples["bytes a record"].append((source.received_bytes - before_bytes) / records)
    return Figure(name, samples)
