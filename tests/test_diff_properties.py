"""What holds of the comparison of any records, whatever is in them."""

import json
import random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from remembered import T0, T1, T2, Memory, record

from poller.diff import differing
from poller.model import Kind, parse_time

# Random records: numbers as the API may write them, any text, nested


class Number(NamedTuple):
    text: str


numbers = st.sampled_from(["0", "1", "-1", "1.0", "1.00", "10.1", "10.10", "0.30", "12345678901234567890123"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
leaves = st.none() | st.booleans() | st.builds(Number, numbers) | texts
keys = st.sampled_from(["name", "total", "note", "ž", "", "updatedAt", "custom"])
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
fields = st.dictionaries(keys, values, max_size=4)
stamps = st.sampled_from([T0, T1, T2])
states = st.dictionaries(st.sampled_from("abcd"), st.tuples(stamps, fields), max_size=3)


def written(value, rng=None):
    """JSON text; with ``rng`` in another order of keys, with other blanks and other escapes."""
    blank = rng.choice(["", " ", "\n  ", "\t"]) if rng else ""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        pairs = list(value.items())
        if rng:
            rng.shuffle(pairs)
        inner = [f"{written(key, rng)}{blank}:{blank}{written(item, rng)}" for key, item in pairs]
        return f"{{{blank}{f'{blank},'.join(inner)}{blank}}}"
    if isinstance(value, list):
        return f"[{blank}{f',{blank}'.join(written(item, rng) for item in value)}{blank}]"
    return json.dumps(value, ensure_ascii=bool(rng and rng.random() < 0.5))


def content(value, *, top=True):
    """The value by text, whatever the order of keys: ``updatedAt`` of the record itself does not count."""
    if isinstance(value, dict):
        return "{", {key: content(value[key], top=False) for key in value if not (top and key == "updatedAt")}
    if isinstance(value, list):
        return "[", [content(item, top=False) for item in value]
    return type(value).__name__, value


def listed(state, rng=None):
    return [record(written(body, rng), stamp=stamp, record_id=one) for one, (stamp, body) in state.items()]


@given(states)
def test_what_did_not_change_is_no_finding(state):
    """A second look at the same makes nothing to remember and nothing to tell."""
    memory = Memory(*listed(state))
    assert differing(listed(state), memory.marks) == []
    assert memory.look(listed(state)) == []


@given(states, st.randoms(use_true_random=False))
def test_another_spelling_is_no_change(state, rng):
    """Order of keys, blanks and escapes: remembered, but not told."""
    memory = Memory(*listed(state))
    spelt = listed(state, rng)
    assert memory.look(spelt) == []
    assert differing(spelt, memory.marks) == []


@given(states, states)
def test_changes_applied_to_the_old_give_the_new(old, new):
    """A mirror that is kept by events alone shows what the API shows, up to stamps."""
    memory = Memory(*listed(old))
    memory.look(listed(new))
    memory.lose(old.keys() - new.keys())
    mirror = {}
    for change in memory.changes:
        if change.kind == Kind.DELETED:
            del mirror[change.record_id]
        else:
            assert (change.kind == Kind.UPDATED) == (change.record_id in mirror)
            mirror[change.record_id] = change.body
    shown = {one.id: one.body for one in listed(new)}
    assert mirror.keys() == shown.keys()
    for one, body in mirror.items():
        assert differing_content(body, shown[one]) is False


def differing_content(one, other):
    """By another reader than the poller's: numbers as text, the stamp left out."""
    read = [json.loads(body, parse_int=Number, parse_float=Number) for body in (one, other)]
    return content(read[0]) != content(read[1])


@given(fields, fields, stamps)
def test_a_record_is_updated_when_its_content_is_another(before, after, stamp):
    """Whatever its stamp says; and then ``changed`` and ``previous`` say in what."""
    [change, *_] = [*Memory(record(written(before))).look([record(written(after), stamp=stamp)]), None]
    assert (change is not None) == (content(before) != content(after))
    if change:
        previous = json.loads(change.previous)
        assert set(previous) <= set(change.changed)
        assert {path.split(".")[0] for path in change.changed} <= before.keys() | after.keys()
        assert change.time_ms == change.version_ms == parse_time(stamp)


@given(states, states, st.randoms(use_true_random=False))
def test_the_order_of_an_answer_does_not_matter(old, new, rng):
    """The same findings, whichever record comes first."""
    one, other = Memory(*listed(old)), Memory(*listed(old))
    one.look(listed(new))
    other.look(rng.sample(listed(new), len(new)))
    assert sorted(one.changes) == sorted(other.changes)
    assert (one.marks, one.bodies) == (other.marks, other.bodies)


@given(fields, stamps)
def test_the_digest_of_a_change_is_that_of_its_content(body, stamp):
    """Two that saw it in different spellings agree on the event's id."""
    rng = random.Random(1)
    plain, spelt = (Memory(record(written(body, how), stamp=stamp)).changes[0] for how in (None, rng))
    moved = Memory(record(written(body | {"updatedAt": T2}), stamp=T2)).changes[0]
    assert plain.digest == spelt.digest == moved.digest
