"""The operations of an operator: by plain values, as they go over a socket."""

import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from poller.breaker import Breaker
from poller.model import Change, Kind, Stream
from poller.operations import operations, plain
from poller.plan import Case, Gate, Plan, Route, Target
from poller.stores import Decision, Outgoing, Progress, Settlement, Step, Verdict
from poller.stores.selection import Selection
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm"
NOW_MS = 1_790_000_000_000
CLIENTS = Stream("o", "clients")
GATE = Gate(10.0, 1, 60.0)
PLAN = Plan({}, (Route(("client.*",), (Case(("crm",)),), "slow", gate=GATE),))


@pytest.fixture
def store(tmp_path):
    """Three deliveries: one delivered, one parked, one pending; deletions of the stream are held."""
    folder = MEMORY if os.access(MEMORY, os.W_OK) else tmp_path
    with TemporaryDirectory(dir=folder) as state, closing(SqliteStore(Path(state) / "poller.db", "it")) as store:
        changes = [Change(Kind.CREATED, name, 0, 0, name.encode(), b'{"id":"%b"}' % name.encode()) for name in "abc"]
        outgoing = [Outgoing(change, "client.created", (Target("crm"),)) for change in changes]
        store.commit(CLIENTS, Step(Progress(missing=1, held_ms=5), outgoing=outgoing), NOW_MS)
        first, second, _ = store.due("crm", NOW_MS, 9)
        ended = [
            Settlement(first.sequence, "delivered", 1, 0, 0),
            Settlement(second.sequence, "parked", 10, 0, 0, "400"),
        ]
        store.settle("crm", lambda before: Verdict(ended, before, before), NOW_MS)
        yield store


@pytest.fixture
def do(store):
    """Carry out an operation, by way of JSON."""

    def do(name, **request):
        found = operations(store, lambda: NOW_MS + 5, PLAN)[name](**json.loads(json.dumps(request)))
        return json.loads(json.dumps(found))

    return do


def states(store):
    return [state for (state,) in store._all("SELECT state FROM delivery ORDER BY sequence")]


def test_a_selection_goes_over_a_socket():
    """All that it says, by name."""
    selection = Selection("crm", "evt_a", "client.*", "a", 1, 2)
    assert Selection(**json.loads(json.dumps(plain(selection)))) == selection
    assert plain(selection) == asdict(selection)


@pytest.mark.parametrize(("which", "count"), [(["parked"], 1), (["delivered", "parked"], 2), ([], 0)])
def test_again(do, store, which, count):
    """Sends settled deliveries again, and says how many."""
    assert do("again", states=which, selection={}) == {"count": count}
    assert states(store).count("pending") == 1 + count


def test_again_takes_no_more_than_it_names(do, store):
    """The selection counts; and a state is a value, not a piece of a statement."""
    assert do("again", states=["parked"], selection={"record": "a"}) == {"count": 0}
    assert do("again", states=["parked') OR ('1'='1"], selection={}) == {"count": 0}


def test_drop(do, store):
    """Forgets parked deliveries alone."""
    assert do("drop", selection={"record": "a"}) == {"count": 0}
    assert do("drop", selection={}) == {"count": 1}
    assert states(store) == ["delivered", "pending"]


def test_decide(do, store):
    """Keeps the operator's word on held deletions."""
    assert do("decide", stream="o/clients", decision="approve") == {"found": True}
    assert store.standing(CLIENTS).decision == Decision.APPROVE
    assert do("decide", stream="o/items", decision="approve") == {"found": False}


def test_release(do, store):
    """What a route holds goes at the pace that the route has now."""
    changes = [Change(Kind.CREATED, name, 0, 0, name.encode(), b'{"id":"%b"}' % name.encode()) for name in "xyz"]
    outgoing = [Outgoing(change, "client.created", (Target("crm", route="slow", gate=GATE),)) for change in changes]
    store.commit(CLIENTS, Step(Progress(), outgoing=outgoing), NOW_MS)
    assert do("release", route="slow", decision="approve") == {"count": 2}
    assert do("release", route="slow", decision="approve") == {"count": 0}
    due = store._all("SELECT due_ms FROM delivery WHERE route = 'slow' ORDER BY sequence")
    assert due == [(NOW_MS,), (NOW_MS + 10_000,), (NOW_MS + 20_000,)]


def test_pause_a_sink(do, store):
    """And resume it, by no reason."""
    assert do("pause_sink", sink="crm", reason="by the operator") == {"found": True}
    assert store.breaker("crm").paused == "by the operator"
    assert do("pause_sink", sink="crm", reason="") == {"found": True}
    assert store.breaker("crm") == Breaker()


def test_pause_a_stream(do, store):
    """And resume it; one that is not there is not made."""
    assert do("pause_stream", stream="o/clients", paused=True) == {"found": True}
    assert store.standing(CLIENTS).paused
    assert do("pause_stream", stream="o/clients", paused=False) == {"found": True}
    assert not store.standing(CLIENTS).paused
    assert do("pause_stream", stream="o/items", paused=True) == {"found": False}
    assert len(store.streams()) == 1


def test_a_paused_stream_keeps_its_place(do, store):
    """Whatever its schedule says meanwhile."""
    do("pause_stream", stream="o/clients", paused=True)
    store.schedule(store.standing(CLIENTS))
    assert store.standing(CLIENTS).paused
