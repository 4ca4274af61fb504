"""What is kept of steps, and the names that they go by."""

import json
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st
from systems.acting import delivery

from poller.actions.steps import FILE, pack, step_key, unpack
from poller.expression import File
from poller.shape import Step

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.builds(File, st.text(), st.text(), st.binary())
)
KEYS = st.text() | st.just(FILE)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=5)


@given(st.dictionaries(st.text(), VALUES))
@example({"a": {FILE: {"name": "x", "content_type": "y", "data": "eg=="}}, "b": {FILE: {FILE: "x"}}})
def test_results_come_back_as_they_were(results):
    """Files, too, and decimals with their digits; what is stored is JSON."""
    stored = pack(results)
    json.loads(stored)
    assert unpack(stored) == results


def test_decimals_keep_their_digits():
    """10.10 is 10.10."""
    assert str(unpack(pack({"a": Decimal("10.10")}))["a"]) == "10.10"


def test_before_the_first_step_there_are_no_results():
    """Nothing is stored."""
    assert unpack(b"") == {}


def test_a_key_is_that_of_one_step_of_one_event():
    """The same at every attempt; another for another step, definition or event."""
    one, step = delivery(), Step("a", "c", "x", None)
    assert step_key(one, step) == step_key(one._replace(attempts=4, steps=b"{}", begun=True), step)
    others = {
        step_key(one, step._replace(id="b")),
        step_key(one._replace(shape="other"), step),
        step_key(one._replace(event_id="evt_other"), step),
    }
    assert len(others - {step_key(one, step)}) == 3
