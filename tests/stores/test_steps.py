"""Deliveries in steps: their results, that a send began, and what cannot be undone."""

import pytest
from routed import DAY_MS, ROUTED, rows, violations

from poller.plan import Target
from poller.shape import define
from poller.stores import Keep, Settlement
from poller.stores.selection import Selection


def test_the_results_of_steps_are_there_at_the_next_send(store, show, keep, now_ms):
    """And until all are done, or longer where the delivery is parked."""
    (sequence,) = show("x", targets=(ROUTED,))
    for steps in (b'{"pdf":1}', b'{"pdf":1,"mail":2}'):
        keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=steps))
        assert [one.steps for one in store.due("a", now_ms, 10)] == [steps]
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.again(Selection(), ["parked"], now_ms)
    assert [one.steps for one in store.due("a", now_ms, 10)] == [steps]
    keep(store, "a", Settlement(sequence, "delivered", 2, 0, 0, route="big"))
    assert store._all("SELECT * FROM step") == []


CHAIN = {"id": "pdf", "connection": "books", "action": "get_pdf", "with": {}}
SECOND = {"id": "two", "connection": "books", "action": "send", "with": {"a": "${steps.pdf}"}}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([CHAIN, SECOND | {"with": {}}], b'{"pdf":{"x":1.10}}'),
        ([CHAIN | {"with": {"l": "en"}}], b'{"pdf":{"x":1.10}}'),
        ([SECOND | {"id": "pdf"}, CHAIN | {"id": "other"}], b""),
        ([SECOND | {"id": "new"}, CHAIN], b'{"pdf":{"x":1.10}}'),
        ([CHAIN | {"connection": "others"}, SECOND], b""),
        ([], b""),
    ],
    ids=["a later one", "its inputs", "another action", "one before", "another connection", "none"],
)
def test_only_the_steps_that_are_there_still_are_done(store, show, keep, path, now_ms, steps, left):
    """By a route that was mended: what is another step by now is done, whatever its name."""
    old = define({"route": "big", "steps": [CHAIN, SECOND]})
    new = define({"route": "big", "steps": steps} if steps else {"route": "big", "body": 1})
    store.keep_shapes([(old.digest, old.text, False), (new.digest, new.text, False)])
    (sequence,) = show("x", targets=(ROUTED._replace(shape=old.digest),))
    keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=b'{"pdf":{"x":1.10}}'))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.again(Selection(), ["parked"], now_ms, lambda *_: (ROUTED._replace(shape=new.digest),))
    assert [one.steps for one in store.due("a", now_ms, 10)] == [left]
    assert "results of steps" not in violations(path)


def test_what_is_dropped_leaves_no_results(store, show, keep, path):
    """Nor what goes elsewhere by now."""
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=b'{"pdf":1}'))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.drop(Selection())
    assert "results of steps" not in violations(path)


def test_a_send_that_began_is_remembered_until_it_is_settled(store, opened, path, show, keep, now_ms):
    """By a process that starts after this one was killed, too."""
    (sequence,) = show("x", targets=(ROUTED,))
    store.begin(store.due("a", now_ms, 10))
    store.close()
    store = opened(path)
    assert [one.begun for one in store.due("a", now_ms, 10)] == [True]
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "no answer", route="big", begun=True))
    assert [one.begun for one in store.due("a", now_ms, 10)] == [True]
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "503", route="big"))
    assert [one.begun for one in store.due("a", now_ms, 10)] == [False]


def test_what_may_be_done_is_remembered_when_it_is_sent_again(store, show, keep, now_ms):
    """By the operator's word too: who can look looks first."""
    (sequence,) = show("x", targets=(ROUTED,))
    store.begin(store.due("a", now_ms, 10))
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "no answer", route="big", begun=True))
    store.tidy(Keep(), now_ms + 15 * DAY_MS)
    assert rows(store, "state, error") == [("parked", "expired: no answer")]
    for reroute in (lambda *_: None, lambda *_: (ROUTED,)):
        assert store.again(Selection(), ["parked"], now_ms + 15 * DAY_MS, reroute) == 1
        assert [one.begun for one in store.due("a", now_ms + 16 * DAY_MS, 10)] == [True]
        store.tidy(Keep(), now_ms + 31 * DAY_MS)


def test_the_results_of_steps_go_with_them(store, show, keep, now_ms):
    """A route that sends the event itself by now has none."""
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big", steps=b'{"pdf":1}'))
    store.again(Selection(), ["parked"], now_ms, lambda *_: (Target("a", route="big"),))
    assert [(one.shape, one.steps) for one in store.due("a", now_ms, 10)] == [("", b"")]
    assert store._all("SELECT * FROM step") == []


def test_only_what_is_about_to_be_sent_has_begun(store, show, now_ms):
    """Not what goes to another sink, by another route, or of another event."""
    show("x", "y", targets=(ROUTED, Target("a"), ROUTED._replace(sink="b")))
    one = next(one for one in store.due("a", now_ms, 9) if one.route == "big")
    store.begin([one])
    assert rows(store, "sequence, sink, route, begun").count((one.sequence, "a", "big", 1)) == 1
    assert [begun for (begun,) in rows(store, "begun")].count(1) == 1


def test_what_cannot_be_undone_is_not_replayed_by_the_way(store, show, keep, now_ms):
    """Only where that is said."""
    store.keep_shapes([("5ha9e", "{}", True)])
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    assert store.again(Selection(), ["delivered"], now_ms) == 0
    assert store.again(Selection(destructive=True), ["delivered"], now_ms) == 1


def test_shapes_are_kept_as_they_were_first(store):
    """A digest has one definition."""
    store.keep_shapes([("d", "one", False)])
    store.keep_shapes([("d", "two", False)])
    assert (store.shape("d"), store.shape("e")) == ("one", None)
