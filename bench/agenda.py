"""What it costs to know whose turn it is: many streams, each planned anew after its turn, with nothing to do in it."""

import time
from random import Random
from threading import Event

from figures import Figure, Table, most, timed

from poller.agenda import Agenda
from poller.service import POLL_THREADS, wall_ms

INTERVAL_S = 600.0
"""How often an idle stream has its turn."""
FAR_MS, SOON_MS, GAP_MS = 120_000, 500, 3
"""Most turns are far off; those that are timed come soon, one after the other."""


class Turns:
    """Streams by number on an agenda, each planned anew in its turn."""

    def __init__(self, streams: int, turns: int) -> None:
        self.agenda = Agenda(POLL_THREADS)
        self.done = Event()
        self._left = turns
        self._streams = streams

    def plan(self) -> None:
        """Enter every stream within an interval."""
        rng, now_ms = Random(1), wall_ms()
        for number in range(self._streams):
            self._enter(number, now_ms + FAR_MS + int(INTERVAL_S * 1000 * rng.random()))

    def hurry(self) -> None:
        """Have some of them take their turn soon."""
        now_ms = wall_ms()
        for number in range(self._left):
            self._enter(number, now_ms + SOON_MS + GAP_MS * number)

    def _enter(self, number: int, time_ms: int) -> None:
        self.agenda.at(time_ms, self._turn, f"{number:024}/clients", number)

    def _turn(self, number: int) -> None:
        self._enter(number, wall_ms() + FAR_MS)
        self._left -= 1
        if self._left == 0:
            self.done.set()


def report(streams: int, turns: int, runs: int) -> Table:
    """Milliseconds to plan all streams; microseconds of CPU a turn, and what that is of a core."""
    samples: dict[str, list[float]] = {"to plan all, ms": [], "a turn, µs of CPU": [], "of a core, %": []}
    for _ in range(runs):
        plan_s, turn_s = _measured(streams, turns)
        samples["to plan all, ms"].append(plan_s * 1000)
        samples["a turn, µs of CPU"].append(turn_s * 1e6)
        samples["of a core, %"].append(turn_s * streams / INTERVAL_S * 100)
    title = f"The agenda of {streams:,} idle streams, each with a turn every {INTERVAL_S / 60:g} minutes"
    return Table(title, [Figure("an agenda", samples, (most(5),))])


def _measured(streams: int, turns: int) -> tuple[float, float]:
    held = Turns(streams, turns)
    with timed() as planning:
        held.agenda.begin()
        held.plan()
    held.hurry()
    with timed() as working:
        if not held.done.wait(30):
            raise AssertionError("not every stream had its turn")
    held.agenda.end()
    time.sleep(0.1)
    return planning.wall_s, working.cpu_s / turns
