"""What may happen in a life, one act at a time: the loops go on a little, or an operator does something."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from lives import KEEP, Life
from points import Died, no_trouble, unwatched, watched
from upstream import FAULTS, FOLLOWED, POLLED, Change

from poller.deliver import IDLE_S
from poller.model import Stream
from poller.simulator.server import Seen
from poller.sources.spaceinvoices import RESOURCES
from poller.stores.reading import View
from poller.stores.selection import Selection

MOST_TURNS = 5000


def poll(
    life: Life,
    resource: str,
    *,
    full: bool = False,
    spoiled: Sequence[tuple[int, int, str]] = (),
    drift: Sequence[tuple[int, Change]] = (),
) -> str:
    """Poll once; what went wrong. ``spoiled`` are answers: which one, how many of them, and how."""
    stream = Stream(life.world.org, resource)
    for at, times, name in spoiled:
        for nth in range(at, at + times):
            life.simulator.faults.at(nth, FAULTS[name]())
    life.asked, life.drift = 0, drift
    before, asked = _watermarks(life), len(life.simulator.requests)
    try:
        error = life.service.poll(stream, full=full).error
    finally:
        life.drift = ()
        if spoiled:
            life.simulator.faults.clear()
    if error and life.points.trouble is no_trouble:
        _proves_nothing(life, before, life.simulator.requests[asked:])
    return error


def _watermarks(life: Life) -> dict[str, dict[str, int]]:
    found = unwatched(life.store._connection, "SELECT resource, watermarks FROM stream")
    return {resource: json.loads(text) for resource, text in found}


def _proves_nothing(life: Life, before: Mapping[str, Mapping[str, int]], asked: Sequence[Seen]) -> None:
    """Where it was an increment that failed, no watermark of its stream has moved."""
    if not asked or "updatedAt ASC" not in ((asked[-1].filter or {}).get("order") or ()):
        return
    if any(one.path.endswith("/count") for one in asked):
        return  # it was the second one of this poll
    path = asked[-1].path.rsplit("/", 1)[1]
    (resource,) = (name for name in FOLLOWED if RESOURCES[name].path == path)
    after = _watermarks(life)[resource]
    known = before.get(resource, {})
    assert {parent: after.get(parent) for parent in known} == known, "the watermark moved, and the poll failed"


def deliver(life: Life, picks: Iterable[int] = ()) -> None:
    """Let every sink take a turn, then these sends arrive and be answered."""
    _turn(life)
    for pick in picks:
        name = life.sinks[pick % len(life.sinks)]
        life.flights[name].land(pick // len(life.sinks))


def land_all(life: Life) -> None:
    """All that is in the air arrives; a drain settles it with its next turn."""
    for flights in life.flights.values():
        flights.land_all()


def _turn(life: Life) -> list[float]:
    pauses_s = []
    life.hear()
    for queue in life.service.drains:
        paused, before = life.store.breaker(queue.name).paused, len(life.flights[queue.name].air)
        pauses_s.append(queue.turn())
        assert not paused or len(life.flights[queue.name].air) <= before, "it is paused, and sends"
    return pauses_s


def deliver_due(life: Life) -> None:
    """Turns and answers until nothing more is due now."""
    for _ in range(MOST_TURNS):
        pauses_s = _turn(life)
        if not any(queue.flying for queue in life.service.drains) and min(pauses_s) > 0:
            return
        land_all(life)
    raise AssertionError("the queue does not end")


def deliver_all(life: Life) -> None:
    """Turns, answers and time until nothing is pending."""
    for _ in range(MOST_TURNS):
        pauses_s = _turn(life)
        if not unwatched(life.store._connection, "SELECT 1 FROM delivery WHERE state = 'pending' LIMIT 1"):
            return
        if not any(queue.flying for queue in life.service.drains):
            life.ahead_ms += max(1, _idle_ms(life, min(pauses_s)))
        land_all(life)
    raise AssertionError("the queue does not end")


def _idle_ms(life: Life, pause_s: float) -> int:
    """How long nothing can happen; where a drain would only look from time to time, until something is due."""
    now_ms = life.now_ms()
    due_ms = [life.store.next_due_ms(name, now_ms) for name in life.sinks] if pause_s == IDLE_S else []
    return min([known - now_ms for known in due_ms if known is not None], default=int(pause_s * 1000))


def work(life: Life) -> None:
    """What a process does all day."""
    for resource in POLLED:
        life.act(partial(poll, life, resource))
        life.act(partial(deliver_due, life))


def set_clock_back(life: Life, span_ms: int, *, server: bool, noticed: bool) -> None:
    """A clock goes back, the server's with the poller's or the poller's alone; a daemon that runs notices that."""
    life.world.clock.advance(-span_ms if server else 0)
    life.ahead_ms -= 0 if server else span_ms
    if noticed:
        life.store.set_back(span_ms, life.now_ms())


def tidy(life: Life) -> None:
    life.service.tidy(KEEP)


def replay(life: Life, sink: str | None = None) -> None:
    """Send everything once more."""
    life.store.again(Selection(sink=sink), ["delivered", "parked"], life.now_ms())


def retry(life: Life, sink: str | None = None) -> None:
    """Send what was given up once more."""
    life.store.again(Selection(sink=sink), ["parked"], life.now_ms())


def pause(life: Life, sink: str) -> None:
    life.store.pause(sink, "an operator said so", life.now_ms())


def resume(life: Life, sink: str) -> None:
    life.store.pause(sink, "", life.now_ms())


def reconfigure(life: Life, sinks: Iterable[str], routes: int) -> None:
    life.configure(sinks, routes)
    life.restart()


def drop(life: Life, sink: str) -> None:
    life.dropping = {key for key, row in life.ledger.file.rows.items() if key[0] == sink and row.state == "parked"}
    life.store.drop(Selection(sink=sink))


def backup(life: Life) -> None:
    """Make a copy of the state, whole or not at all; what a dead process left of one is in nobody's way."""
    before = life.backup.stat().st_ino if life.backup.exists() else 0
    try:
        with watched(life.points), View(life.path) as view:
            view.backup(life.backup)
    except Died:
        life.backup.with_name(f"{life.backup.name}.part").write_bytes(b"half a backup")
        raise
    finally:
        if life.backup.exists() and life.backup.stat().st_ino != before:
            life.saved = life.ledger.file.copy()


def restore(life: Life) -> None:
    """Go on from the backup."""
    if life.saved is None:
        return
    life.service.close()
    for end in ("", "-wal", "-shm"):
        life.path.with_name(life.path.name + end).unlink(missing_ok=True)
    shutil.copyfile(life.backup, life.path)
    life.ledger.restore(life.saved)
    for receiver in life.receivers.values():
        receiver.notices.clear()  # what was told since is told anew, and recorded anew
    life.restoring = True
    life.start(life.points.doom)
