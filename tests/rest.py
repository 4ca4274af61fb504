"""The end of a life: faults are over, what was late shows, everything is polled and delivered; then all must agree."""

from functools import partial

import acts
from lives import Life
from mirror import SECOND_MS
from scripted import SINKS
from upstream import FOLLOWED, LATEST_MS, POLLED

from poller.model import Stream
from poller.stores import Decision
from poller.stores.reading import View

MOST_ROUNDS = 12


def rest(life: Life, *, full: bool = True) -> None:
    """Come to rest with every sink there is; fails where it does not, or where anything is lost or invented.

    Where increments have to do alone, not ``full``, sweeps must find nothing more afterwards.
    """
    life.points.doom = None
    life.simulator.faults.clear()
    for receiver in life.receivers.values():
        receiver.script.clear()
    life.configure(SINKS)
    life.act(life.restart)
    for sink in SINKS:
        life.act(partial(acts.resume, life, sink))
    life.act(partial(acts.retry, life))
    life.world.clock.advance(LATEST_MS)
    _poll_until_quiet(life, full=full)
    told = life.ledger.file.last
    if not full:
        _poll_until_quiet(life, full=True)
        assert life.ledger.file.last == told, "a sweep found what no increment had told"
    life.act(partial(acts.deliver_all, life))
    check(life)


def _poll_until_quiet(life: Life, *, full: bool) -> None:
    """Until there is twice nothing to tell: the first may end a first sight."""
    quiet = 0
    for _ in range(MOST_ROUNDS):
        quiet = quiet + 1 if _round(life, full=full) else 0
        if quiet == 2:
            return
    raise AssertionError("it does not come to rest")


def _round(life: Life, *, full: bool) -> bool:
    """Poll everything, and approve what is held; whether nothing happened and nothing is open."""
    life.world.clock.advance(61 * SECOND_MS)
    told = life.ledger.file.last
    for resource in POLLED:
        assert acts.poll(life, resource, full=full) == ""
        life.look()
    streams = [Stream(life.world.org, name) for name in FOLLOWED]
    held = [life.store.decide(stream.name, Decision.APPROVE) for stream in streams]
    missing = [life.store.standing(stream).progress.missing for stream in streams]
    return not (life.ledger.file.last > told or any(held) or any(missing))


def check(life: Life) -> None:
    """What the events say is the account; every receiver has all of it; the file is sound."""
    wrong = [
        line
        for name in FOLLOWED
        for line in life.ledger.file.mirror.differences(life.world.account, life.world.org, name)
    ]
    assert not wrong, "\n".join(wrong)
    life.ledger.complete()
    sound(life)


def sound(life: Life) -> None:
    """The database is whole, to its bytes, and keeps its own rules."""
    with View(life.path) as view:
        assert list(view.violations()) == []
    assert not list(life.path.parent.glob("*.lost-*"))
