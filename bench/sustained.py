"""Sustained delivery to one webhook, beside a bare loop of POSTs of the same bodies, and where the time goes."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from core import kit
from delivery import receiver
from figures import Figure, Table, Timing, least, timed
from listing import STREAM, Scripted, pages_of

from poller.deliver import Drain, drain
from poller.poll import poll
from poller.sinks import kinds

SIGNED = {"webhook-signature": "v1,the receiver only looks whether there is one"}

SEND, SETTLE = "send: sign, ask, read the answer", "settle: one transaction, synced"
DUE, LOOK = "due: the query", "look at the breaker, and for what is due next"
TURN, REST, ALL = "turns of the drain, but for these", "wait for answers; threads, and what is left", "in all"


def report(events: int, runs: int) -> list[Table]:
    """Two tables: events a second, both ways by turns; and what an event costs, part by part."""
    answers = list(pages_of(events))
    bare, ours = list[float](), list[float]()
    parts: dict[str, list[Timing]] = defaultdict(list)
    with receiver() as url:
        for _ in range(runs):
            with _queue(answers, url, events) as queue:
                bodies = [delivery.body for delivery in queue.store.due(queue.name, 2**60, events)]
                bare.append(events / _post(url, bodies).wall_s)
                spent = _deliver(queue)
            ours.append(events / spent[ALL].wall_s)
            for name, timing in spent.items():
                parts[name].append(timing)
    rates = [
        Figure("a bare loop of httpx, nothing kept", {"a second": bare}),
        Figure("delivered: signed, settled in the store", {"a second": ours}, (least(500),)),
        Figure("that is, of what the bare loop does", {"a second": [a / b for a, b in zip(ours, bare, strict=True)]}),
    ]
    costs = [Figure(name, _columns(timings, parts[ALL], events)) for name, timings in parts.items()]
    return [
        Table(f"Sustained: events to one webhook ({events:,} events)", rates),
        Table("Sustained: microseconds an event; the drain's times add up, and sends overlap them", costs),
    ]


def _columns(timings: Sequence[Timing], whole: Sequence[Timing], events: int) -> dict[str, list[float]]:
    return {
        "CPU": [timing.cpu_s / events * 1e6 for timing in timings],
        "% of it": [timing.cpu_s / every.cpu_s * 100 for timing, every in zip(timings, whole, strict=True)],
        "time": [timing.wall_s / events * 1e6 for timing in timings],
    }


def _post(url: str, bodies: Sequence[bytes]) -> Timing:
    """Do what cannot be left out: one request after the other, on one connection."""
    with httpx.Client(headers=SIGNED, trust_env=False) as client, timed() as timing:
        for body in bodies:
            client.post(url, content=body).raise_for_status()
    return timing


@contextmanager
def _queue(answers: list[bytes], url: str, events: int) -> Iterator[Drain]:
    """A drain with so many events before it."""
    with kit(Scripted(lambda: answers), emit=True) as tools, TemporaryDirectory(prefix="poller-bench-") as folder:
        if poll(tools, STREAM) != events:
            raise AssertionError("there are not as many events as were to be delivered")
        secret = Path(folder) / "secret"
        secret.touch(mode=0o600)
        secret.write_text("a secret of the benchmark, 36 bytes.")
        sink = (
            kinds()["webhook"].model_validate({"kind": "webhook", "url": url, "secret": {"file": str(secret)}}).sink()
        )
        with ThreadPoolExecutor(sink.concurrency) as executor:
            yield Drain("webhook", sink, tools.store, executor, lambda: time.time_ns() // 1_000_000, random.random)
        sink.close()
        if tools.store.load().pending:
            raise AssertionError("some events were not delivered")


def _deliver(queue: Drain) -> dict[str, Timing]:
    """Deliver everything; what each part took."""
    meter = Meter()
    meter.watch(queue.sink, "send", SEND)
    meter.watch(queue.store, "settle", SETTLE)
    meter.watch(queue.store, "due", DUE)
    meter.watch(queue.store, "breaker", LOOK)
    meter.watch(queue.store, "next_due_ms", LOOK)
    meter.watch(queue, "turn", TURN)
    with timed() as whole:
        drain(queue, threading.Event(), until_empty=True)
    spent = dict(meter.spent)
    for inner in (SETTLE, DUE, LOOK):
        spent[TURN].cpu_s -= spent[inner].cpu_s
        spent[TURN].wall_s -= spent[inner].wall_s
    rest = Timing(
        whole.cpu_s - sum(timing.cpu_s for timing in spent.values()),
        whole.wall_s - sum(spent[name].wall_s for name in (SETTLE, DUE, LOOK, TURN)),
    )
    return spent | {REST: rest, ALL: whole}


class Meter:
    """What calls took, by a name for them, in all threads together."""

    def __init__(self) -> None:
        self.spent: dict[str, Timing] = defaultdict(Timing)
        self._lock = threading.Lock()

    def watch(self, owner: object, method: str, name: str) -> None:
        """Measure this method of this value from now on."""
        call: Callable[..., Any] = getattr(owner, method)
        spent = self.spent[name]

        @wraps(call)
        def measured(*arguments: object, **options: object) -> Any:  # noqa: ANN401 - whatever it gives
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            found = call(*arguments, **options)
            wall_s, cpu_s = time.perf_counter() - wall_s, time.thread_time() - cpu_s
            with self._lock:
                spent.wall_s += wall_s
                spent.cpu_s += cpu_s
            return found

        setattr(owner, method, measured)
