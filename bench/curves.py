"""How costs grow: with the records of a stream, with streams, with sinks; each point in a process of its own."""

import json
import math
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import chart
import streams
from core import plan
from delivery import receiver
from figures import Figure, Table, Timing, most, timed
from listing import EPOCH_MS, STREAM, Scripted, pages_of
from memory import peak_kb

from poller import diff, log
from poller.deliver import drain
from poller.diff import Finding
from poller.model import Mark, State, format_time
from poller.plan import Target
from poller.poll import poll
from poller.running import Poll
from poller.service import Service
from poller.sinks import kinds
from poller.stores import Pass, Step
from poller.stores.sqlite import SqliteStore
from poller.sweep import sweep

FEW, MANY = 1_000, 1_000_000
RECORDS, LONG_RECORDS = (FEW, 10_000, 100_000), (FEW, 10_000, 100_000, MANY)
STREAMS, LONG_STREAMS = (10, 100, 1_000), (10, 100, 1_000, 10_000, 50_000)
SINKS = (1, 2, 4, 8, 16)
STEP_MARKS = 1_000
TURNS = 12
FAR_MS = 10**15
IDLE, PEAK = "idle poll, µs of CPU", "peak, MB"
OF_IDS, WITH_BODIES = "of ids, µs a record", "with bodies, µs a record"
FILLING = "x" * 700


class Curve(NamedTuple):
    """Columns of figures by what they depend on."""

    title: str
    axis: str
    points: Mapping[int, Mapping[str, float]]

    def table(self) -> Table:
        """A row a point, and the exponents: 0 is flat, 1 is in proportion."""
        rows = [
            Figure(f"{at:,} {self.axis}", {name: [value] for name, value in self.points[at].items()})
            for at in self.points
        ]
        return Table(self.title, [*rows, Figure("exponent", {name: [self._exponent(name)] for name in self._names()})])

    def svg(self) -> str:
        """The same as a picture."""
        lines = {name: [(at, columns[name]) for at, columns in self.points.items()] for name in self._names()}
        return chart.draw(self.title.partition(" (")[0], self.axis, lines)

    def _names(self) -> list[str]:
        return list(next(iter(self.points.values())))

    def _exponent(self, name: str) -> float:
        logs = [(math.log(at), math.log(columns[name])) for at, columns in self.points.items()]
        return statistics.linear_regression(*zip(*logs, strict=True)).slope


def report(polls: int, *, long: bool, docs: Path | None) -> Iterator[Table]:
    """A table of each curve, with its picture in the folder ``docs``; and a million marks beside a thousand."""
    sweeps = _points("records", LONG_RECORDS if long else RECORDS, polls, "sweeps")
    idle = sweeps if long else sweeps | _points("records", (FEW, MANY), polls)
    resting = {at: {name: columns[name] for name in (IDLE, PEAK)} for at, columns in idle.items()}
    swept = {at: {name: columns[name] for name in (OF_IDS, WITH_BODIES)} for at, columns in sweeps.items()}
    curves = {
        "records": Curve("Records of a stream: an idle poll", "records", resting),
        "sweeps": Curve("Records of a stream: an idle sweep", "records", swept),
        "streams": Curve("Streams: a poll of one, and the daemon", "streams", _many(long=long)),
        "sinks": Curve(
            "Sinks: deliveries to all of them (the receiver is one process)", "sinks", _points("sinks", SINKS, 200)
        ),
    }
    for name, curve in curves.items():
        yield curve.table()
        if docs:
            (docs / f"curve-{name}.svg").write_text(curve.svg())
    yield Table(
        f"A million marks: beside {FEW:,}",
        [
            Figure("an idle poll, times as dear", {"times": _dearer(polls)}, (most(1.1),)),
            Figure("memory, times as much", {"times": [resting[MANY][PEAK] / resting[FEW][PEAK]]}, (most(1.1),)),
        ],
    )


def _points(kind: str, places: Iterable[int], polls: int, *more: str) -> dict[int, dict[str, float]]:
    """Each measured by this file in a process of its own."""
    found = {}
    for at in places:
        command = [sys.executable, __file__, kind, str(at), str(polls), *more]
        found[at] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _many(*, long: bool) -> dict[int, dict[str, float]]:
    return {count: streams.point(count) for count in (LONG_STREAMS if long else STREAMS)}


# Records of a stream


def _body(number: int) -> bytes:
    stamp = format_time(EPOCH_MS + number)
    return f'{{"id":"{number:024x}","updatedAt":"{stamp}","_isDeleted":false,"note":"{FILLING}"}}'.encode()


def _pages(count: int, spent: Timing, *, bodies: bool) -> Iterator[bytes]:
    """The records page by page; what it takes to make them up is added to ``spent``."""
    for start in range(0, count, 100):
        with timed() as timing:
            rows = [_body(number) for number in range(start, min(start + 100, count))]
            page = b"[" + b",".join(rows if bodies else [row.partition(b',"note"')[0] + b"}" for row in rows]) + b"]"
        spent.cpu_s += timing.cpu_s
        yield page


def _service(folder: Path, source: Scripted, count: int) -> Service:
    """A service that knows so many records, as if it had seen them; without their last bodies."""
    store = SqliteStore(folder / "poller.db", source.name)
    standing = store.standing(STREAM)
    progress = replace(
        standing.progress, baselined_ms=EPOCH_MS, watermarks={"": EPOCH_MS}, next_sweep_ms=FAR_MS, live=count
    )
    for start in range(0, max(count, 1), STEP_MARKS):
        marks = [_mark(number) for number in range(start, min(start + STEP_MARKS, count))]
        store.commit(STREAM, Step(progress, [Finding(None, mark) for mark in marks]), EPOCH_MS)
    return Service(plan(), source, store, {}, threading.Event())


def _mark(number: int) -> Mark:
    body = _body(number)
    return Mark(f"{number:024x}", EPOCH_MS + number, diff.digest(body), State.LIVE, "", 0)


def _of_records(count: int, polls: int, *, sweeps: bool) -> dict[str, float]:
    source = Scripted()
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        service = _service(Path(folder), source, count)
        found = {IDLE: _idle_us(service, polls), PEAK: peak_kb() / 1024}
        if sweeps:
            found[OF_IDS] = _sweep_us(service, source, count, Pass.IDS)
            found[WITH_BODIES] = _sweep_us(service, source, count, Pass.FULL)
            found[PEAK] = peak_kb() / 1024
        service.close()
    return found


def _idle_us(service: Service, polls: int) -> float:
    service.poll(STREAM)
    with timed() as timing:
        for _ in range(polls):
            service.poll(STREAM)
    return timing.cpu_s / polls * 1e6


def _sweep_us(service: Service, source: Scripted, count: int, kind: Pass) -> float:
    making = Timing()
    source.answers = lambda: _pages(count, making, bodies=kind is Pass.FULL)
    with timed() as timing:
        run = Poll(service.tools, STREAM)
        sweep(run, kind)
    source.answers = list
    if run.events or run.progress.missing or run.progress.live != count:
        raise AssertionError("the sweep was not idle")
    return (timing.cpu_s - making.cpu_s) / count * 1e6


def _dearer(polls: int) -> list[float]:
    """By turns, in one process: what an idle poll costs with many marks, over what it costs with few."""
    each = max(polls // TURNS, 1)
    with TemporaryDirectory(prefix="poller-bench-") as few, TemporaryDirectory(prefix="poller-bench-") as many:
        services = _service(Path(many), Scripted(), MANY), _service(Path(few), Scripted(), FEW)
        times = [_idle_us(services[0], each) / _idle_us(services[1], each) for _ in range(TURNS)]
        for service in services:
            service.close()
    return times


# Sinks


def _of_sinks(count: int, events: int) -> dict[str, float]:
    """Deliveries a second, of so many events to each sink, all sinks at once."""
    names = [f"sink-{number}" for number in range(count)]
    with receiver() as url, TemporaryDirectory(prefix="poller-bench-") as name:
        folder = Path(name)
        (folder / "secret").touch(mode=0o600)
        (folder / "secret").write_text("a secret of the benchmark, 36 bytes.")
        table = {"kind": "webhook", "url": url, "secret": {"file": str(folder / "secret")}}
        sinks = {name: kinds()["webhook"].model_validate(table).sink() for name in names}
        source = Scripted(lambda: pages_of(events))
        store = SqliteStore(folder / "poller.db", source.name)
        told = replace(plan(emit=True), sinks=tuple(Target(name) for name in names))
        service = Service(told, source, store, sinks, threading.Event())
        poll(service.tools, STREAM)
        with ThreadPoolExecutor(count) as threads, timed() as timing:
            list(threads.map(lambda queue: drain(queue, service.stop, until_empty=True), service.drains))
        if store.load().pending:
            raise AssertionError("some events were not delivered")
        service.close()
    made = count * events
    return {"deliveries a second": made / timing.wall_s, "of CPU": made / timing.cpu_s}


if __name__ == "__main__":
    log.configure("error")
    kind, at, amount, *more = sys.argv[1:]
    measured = (
        _of_sinks(int(at), int(amount)) if kind == "sinks" else _of_records(int(at), int(amount), sweeps=bool(more))
    )
    print(json.dumps(measured))
