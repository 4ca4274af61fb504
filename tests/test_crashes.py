"""Deaths of the process between any two steps of either loop: nothing lost, nothing invented, order kept.

Each is as by SIGKILL, but within the test, so that there can be thousands (see ``points``). ``CRASHES`` in the
environment sets how many (1,500 if it does not); ``CRASH_SEED`` makes other histories.
"""

import os
import random
from collections.abc import Iterable
from functools import partial

import acts
import pytest
from broken import DYING
from lives import KEPT, Life, Tally, life
from points import Doom
from rest import rest, sound
from scripted import ANSWERS, SINKS
from upstream import CHANGES, FOLLOWED, LATEST_MS, SOFT, Change

CRASHES = int(os.environ.get("CRASHES", "1500"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
PARTS = max(1, CRASHES // 1500)
"""Which workers share; each has to see a death at every kind of point."""

MOST_BROKEN = 1000
"""So many deaths a broken build may survive before it is noticed."""

A_HISTORY = 20
"""So many deaths before one poller has to be through with everything."""

FURTHEST = 200
"""Points; a process has then done all that it has to, or nearly."""

ACTS = (*[acts.work] * 6, acts.deliver_due, Life.restart, acts.tidy, acts.backup)
NAMED = {
    *(f"{when} {what}" for when in ("before", "after") for what in ("a request", "a send", "COMMIT")),
    *(f"{when} the lock file is written" for when in ("before", "after")),
    *("before BEGIN", "within COMMIT", "within the lock file"),
}
ABOUT = {"stream", "mark", "body", "event", "delivery", "sink", "meta"}
"""Where processes have to have died, among other places: at these points, and at statements about these tables."""


def live(rng: random.Random, deaths: int, tally: Tally) -> None:
    """One history of so many deaths, to its end; in every other one increments have to do without sweeps."""
    alone = rng.random() < 0.5
    first = rng.choice((None, Doom(rng.randrange(150))))
    with life(first, records=rng.choice((0, 6)), page_cap=rng.randint(2, 5), alone=alone, tally=tally) as lived:
        for number in range(deaths):
            doom, again = Doom(rng.randrange(FURTHEST), torn=rng.random()), Doom(rng.randrange(120))
            lived.dies(partial(_work, lived, rng, SOFT if alone else CHANGES), doom, rng.choice((None, None, again)))
            if number % 5 == 4:
                sound(lived)
        rest(lived, full=not alone)


def _work(lived: Life, rng: random.Random, kinds: Iterable[str]) -> None:
    """Much happens to the account and to the receivers, and the poller works: more than it lives to do."""
    for act in (rng.choice(ACTS), acts.work, acts.work):
        for _ in range(rng.randint(0, 3)):
            lived.world.change(_change(rng, list(kinds)))
        if rng.random() < 0.3:
            script = lived.receivers[rng.choice(list(SINKS))].script
            script.extend(rng.choices(list(ANSWERS), k=3))
        lived.world.clock.advance(rng.choice((1, 400, 20_000, 400_000)))
        act(lived)


def _change(rng: random.Random, kinds: list[str]) -> Change:
    late_ms = rng.choice((0, 0, 0, LATEST_MS))
    return Change(rng.choice(kinds), rng.choice(FOLLOWED), rng.randrange(7), rng.randrange(7), late_ms)


def _crash(histories: Iterable[int], tally: Tally, seed: int = SEED) -> None:
    for number in histories:
        live(random.Random(1_000_000 * seed + number), A_HISTORY, tally)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_death_at_any_point_loses_and_invents_nothing(figures, part):
    """What was in flight may come again, with the same bytes; everything comes once, and in order."""
    tally = Tally()
    _crash(range(part, max(PARTS, CRASHES // A_HISTORY), PARTS), tally)
    figures(tally, KEPT)
    assert tally.repeats <= tally.in_flight + tally.lost
    if CRASHES >= 1500:
        assert tally.deaths.keys() >= NAMED
        assert {name.split()[-1] for name in tally.deaths} >= ABOUT


@pytest.mark.parametrize("build", DYING.values(), ids=DYING)
def test_a_broken_build_does_not_outlive_many_deaths(build):
    """The checks above fail for the classic mistakes within so many deaths."""
    with build(), pytest.raises(AssertionError):
        _crash(range(MOST_BROKEN // A_HISTORY), Tally(), seed=0)
