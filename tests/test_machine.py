"""Both loops as one machine that Hypothesis drives: whatever happens in whatever order, the promise holds.

``MACHINE_EXAMPLES`` and ``MACHINE_STEPS`` in the environment raise how often and how far (200 times 50).
"""

import os
import sys
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import acts
import pytest
from broken import ODD
from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from lives import KEPT, ROUTES, Life, Tally, life
from points import Doom, fails
from rest import rest
from scripted import ANSWERS, SINKS
from upstream import CHANGES, FOLLOWED, HONEST, LATEST_MS, LIES, POLLED, Change

from poller.stores import StoreError
from poller.stores.opening import OpeningError

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "200"))
STEPS = int(os.environ.get("MACHINE_STEPS", "50"))
PARTS = max(2, EXAMPLES // 500)
"""Of at most about 500 examples each, which workers share."""

MOST_BROKEN = 300
"""So many examples a broken build may survive before it is noticed."""

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
SPANS = (1, 400, 6 * SECOND, 20 * SECOND, 90 * SECOND, 6 * MINUTE, HOUR, 8 * HOUR, 3 * DAY, 15 * DAY, 31 * DAY)

polled = st.sampled_from(POLLED)
sinks = st.sampled_from(list(SINKS))
places = st.sampled_from([0, 0, 0, 1, 2, 6])  # few, so that much happens to the same records
values = st.integers(0, 6)
late = st.sampled_from([0, 0, 0, LATEST_MS])
few_lists = sorted(CHANGES.keys() - {"bulk create"})  # each has a listing of its own
change = st.builds(
    Change, st.sampled_from(list(CHANGES)), st.sampled_from(["clients", "clients", "prices"]), places, values, late
) | st.builds(Change, st.sampled_from(few_lists), st.just("price_lists"), places, values, late)
changes = st.lists(change, min_size=1, max_size=3)
drift = st.lists(st.tuples(st.integers(1, 9), change), max_size=1)
faults = st.sampled_from(list(HONEST)) | st.sampled_from(list(LIES))
spoiled = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([1, 4]), faults), max_size=1)
few, many = st.integers(0, 5), st.integers(0, 150)
verbs = st.sampled_from(["BEGIN", "INSERT", "INSERT event", "INSERT delivery", "UPDATE", "UPDATE delivery", "COMMIT"])
anywhere, parts = st.just(""), st.sampled_from([0.0, 0.3, 0.9])
dooms_at_start = st.none() | st.builds(Doom, many, anywhere, parts)
dooms = st.builds(Doom, many, anywhere, parts) | st.builds(
    Doom, few, verbs | st.sampled_from(["request", "send"]), parts
)
codes = st.sampled_from(["SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR"])
troubles = st.builds(partial, st.just(fails), st.integers(0, 60), codes) | st.builds(
    partial, st.just(fails), few, codes, where=verbs, times=st.sampled_from([1, 1, 5, 40]), rolled_back=st.booleans()
)

ACTS = {
    "work": acts.work,
    "deliver": acts.deliver_due,
    "tidy": acts.tidy,
    "restart": Life.restart,
    "back up": acts.backup,
    "restore": acts.restore,
    "replay": acts.replay,
}
OPERATIONS = {
    "pause": acts.pause,
    "resume": acts.resume,
    "retry": acts.retry,
    "replay": acts.replay,
    "drop": acts.drop,
}


class Machine(RuleBasedStateMachine):
    """A poller, its account and its receivers; see ``lives.Life`` for what is checked after every step."""

    tally = Tally()

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()

    @initialize(records=st.sampled_from([0, 2, 6]), page_cap=st.integers(2, 5), doom=dooms_at_start)
    def begin(self, records, page_cap, doom):
        self.life = self.stack.enter_context(life(doom, records=records, page_cap=page_cap, tally=self.tally))

    # Before the poller

    @rule(changes=changes)
    def change(self, changes):
        for one in changes:
            self.life.world.change(one)

    @rule(span_ms=st.sampled_from(SPANS), tidy=st.booleans())
    def time_passes(self, span_ms, tidy):
        if span_ms >= HOUR:
            acts.land_all(self.life)  # no send takes so long
        self.life.world.clock.advance(span_ms)
        if tidy:
            self.life.act(partial(acts.tidy, self.life))

    @rule(span_ms=st.sampled_from(SPANS[:-3]), server=st.booleans(), noticed=st.booleans())
    def a_clock_goes_back(self, span_ms, server, noticed):
        self.life.act(partial(acts.set_clock_back, self.life, span_ms, server=server, noticed=noticed))

    # The two loops

    @rule(resource=polled, full=st.booleans(), drift=drift, spoiled=spoiled)
    def poll(self, resource, full, drift, spoiled):
        self.life.act(partial(acts.poll, self.life, resource, full=full, drift=drift, spoiled=spoiled))

    @rule(resource=st.sampled_from(FOLLOWED), pick=places, values=st.lists(values, min_size=2, max_size=4))
    def poll_each_change(self, resource, pick, values):
        for value in values:
            self.life.world.change(Change("update", resource, pick, value))
            self.life.act(partial(acts.poll, self.life, "clients" if resource == "clients" else "prices"))

    @rule(changes=changes)
    def work(self, changes):
        self.change(changes)
        acts.work(self.life)

    @rule(picks=st.lists(st.integers(0, 15), max_size=6))
    def deliver(self, picks):
        self.life.act(partial(acts.deliver, self.life, picks))

    @rule()
    def deliver_what_is_due(self):
        self.life.act(partial(acts.deliver_due, self.life))

    @rule(sink=sinks, answers=st.lists(st.sampled_from(list(ANSWERS)), min_size=1, max_size=4))
    def a_receiver_will_say(self, sink, answers):
        self.life.receivers[sink].script.extend(answers)

    # Deaths and failures

    @rule(
        changes=changes,
        act=st.sampled_from([*ACTS, "work", "deliver"]),
        doom=dooms,
        again=dooms_at_start,
    )
    def die(self, changes, act, doom, again):
        self.change(changes)
        self.life.dies(partial(self._act_and_work, act), doom, again)

    def _act_and_work(self, act):
        self.life.act(partial(ACTS[act], self.life))
        acts.work(self.life)

    @rule(changes=changes, act=st.sampled_from(["work", "work", "deliver", "tidy", "replay"]), trouble=troubles)
    def fail(self, changes, act, trouble):
        self.change(changes)
        self.life.fails(partial(ACTS[act], self.life), trouble())

    # The operator

    @rule(act=st.sampled_from(["tidy", "restart", "back up"]))
    def look_after(self, act):
        self.life.act(partial(ACTS[act], self.life))

    @precondition(lambda self: self.life.saved)
    @rule()
    def restore(self):
        self.life.act(partial(acts.restore, self.life))

    @rule(names=st.sets(st.sampled_from(list(SINKS)[1:])), routes=st.integers(0, len(ROUTES) - 1))
    def configure(self, names, routes):
        self.life.act(partial(acts.reconfigure, self.life, {"all", *names}, routes))

    @rule(sink=sinks, act=st.sampled_from(["pause", "resume", "retry", "replay", "drop"]))
    def operate(self, sink, act):
        self.life.act(partial(OPERATIONS[act], self.life, sink))

    def teardown(self):
        with self.stack:
            if sys.exc_info()[0] is None:
                rest(self.life)


def drive(machine, examples, steps, **more):
    """Run the machine so often and so far; Hypothesis would end an example after about 200 steps."""
    room = max(engine.BUFFER_SIZE, 100 * steps)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        **more,
    )
    with patch.object(engine, "BUFFER_SIZE", room), patch.object(stateful, "BUFFER_SIZE", room):
        stateful.run_state_machine_as_test(machine, settings=how)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_machine_keeps_its_promise(figures, part):
    """Nothing is lost, nothing invented or repeated without need; order is kept; all sides agree in the end."""
    machine = type("Machine", (Machine,), {"tally": Tally()})
    examples = len(range(part, EXAMPLES, PARTS))
    drive(machine, examples, STEPS)
    figures(f"{examples} examples of {STEPS} steps", machine.tally, KEPT)


@pytest.mark.parametrize("build", ODD.values(), ids=ODD)
def test_the_machine_notices_a_broken_build(build):
    """Each of these would lose, invent, repeat or reorder; none gets through."""
    first = {"phases": [Phase.generate], "database": None, "derandomize": True, "report_multiple_bugs": False}
    with build(), pytest.raises((AssertionError, OpeningError, StoreError)):
        drive(Machine, MOST_BROKEN, 50, **first)
