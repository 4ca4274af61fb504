"""Operator events through deaths of the process at every step: each is told, once, to everybody but itself.

``FAULT_STRIDE`` in the environment says how many points are left out for each that is died at (3; 1 is none).
"""

import json
import os
from collections import Counter
from functools import partial

import acts
import pytest
from broken import tells_later
from lives import Life, life
from points import Doom, unwatched
from rest import sound
from upstream import Change

STRIDE = int(os.environ.get("FAULT_STRIDE", "3"))
MOST = 3000
LAST = "between two acts"
"""Where a process dies that outlives its act."""


def sink_fails(lived: Life, time: int) -> None:
    """Five clients change, others each time, and "all" takes none of them."""
    for number in range(5):
        lived.world.change(Change("update", "clients", 5 * time + number, 2))
    lived.receivers["all"].script.extend(["later"] * 40)
    lived.act(partial(acts.poll, lived, "clients"))
    lived.act(partial(acts.deliver_due, lived))


def sink_recovers(lived: Life, _time: int) -> None:
    """It takes everything again, once it is asked."""
    lived.receivers["all"].script.clear()
    lived.world.clock.advance(400_000)
    lived.act(partial(acts.deliver_due, lived))


def stream_is_denied(lived: Life, _time: int) -> None:
    """The first request of a poll is refused."""
    lived.act(partial(acts.poll, lived, "clients", spoiled=[(1, 1, "status 401")]))
    lived.act(partial(acts.deliver_due, lived))


def records_vanish(lived: Life, time: int) -> None:
    """All but a few of many, without tombstones."""
    for number in range(0 if time else 14):
        lived.world.change(Change("hard delete", "clients", number, 0))
    lived.act(partial(acts.poll, lived, "clients", full=True))
    lived.act(partial(acts.deliver_due, lived))


STORY = (sink_fails, sink_recovers, stream_is_denied, records_vanish)


def tell(lived: Life, dying, doom: Doom) -> None:
    """The story; one of its acts is begun twice, since the process dies in it."""
    for act in STORY:
        if act is dying:
            lived.dies(partial(act, lived, 0), doom)
        act(lived, int(act is dying))
        lived.world.clock.advance(61_000)


def told(lived: Life) -> Counter:
    """The operator events in the outbox, by trigger and by what they are about."""
    sql = "SELECT trigger, record FROM event WHERE trigger GLOB 'poller.*'"
    return Counter(unwatched(lived.store._connection, sql))


def taken(lived: Life, sink: str) -> set:
    """The same, of those that a receiver took."""
    events = [json.loads(body) for _, body in lived.receivers[sink].notices]
    return {(one["type"].removeprefix("com.spaceinvoices."), one["data"]["object"]["id"]) for one in events}


@pytest.mark.parametrize("act", STORY)
def test_a_death_neither_loses_nor_doubles_them(figures, act):
    """Wherever in the act that tells it: one event each, taken by those who asked, and never by its own sink."""
    deaths = die_in(act)
    figures(f"{deaths} deaths")
    assert deaths * STRIDE > 40


def test_a_build_that_tells_it_afterwards_does_not_outlive_that():
    """The state is kept in one transaction, and told in the next."""
    with tells_later(), pytest.raises(AssertionError):
        die_in(sink_fails)


def die_in(act) -> int:
    """Tell the story again and again, with a death in the act, each time further on; how often."""
    for number in range(STORY.index(act) % STRIDE, MOST, STRIDE):
        with life(records=40) as lived:
            lived.configure(("all", "loose", "batches"), routes=1)
            lived.act(lived.restart)
            lived.act(partial(acts.poll, lived, "clients"))
            lived.act(partial(acts.deliver_due, lived))
            tell(lived, act, Doom(number))
            lived.act(partial(acts.deliver_all, lived))
            sound(lived)
            clients = f"{lived.world.org}/clients"
            of_sinks = {("poller.sink.failing", "all"), ("poller.sink.recovered", "all")}
            of_streams = {
                (f"poller.{what}", clients)
                for what in ("baseline.completed", "stream.failing", "stream.recovered", "deletions.held")
            }
            assert told(lived) == Counter(of_sinks | of_streams)
            assert taken(lived, "loose") == of_sinks | of_streams
            assert (taken(lived, "batches"), taken(lived, "all")) == (of_sinks, set())
            if lived.tally.deaths[LAST]:
                return number // STRIDE + 1
    raise AssertionError("the act does not end")
