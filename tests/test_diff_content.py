"""Which difference of two bodies is a change, what of it is told, and what its digest is."""

import json

import pytest
from remembered import T0, T1, Memory, record

from poller.diff import Rules, digest
from poller.model import Mark, parse_time


def update(before, after, *, moved=True, **rules):
    """The one change between two bodies, or None."""
    memory = Memory(record(before))
    changes = memory.look([record(after, stamp=T1 if moved else T0)], Rules(**rules))
    assert len(changes) <= 1
    return changes[0] if changes else None


def test_a_digest_is_small():
    """One is kept of each record."""
    assert len(digest(b"{}")) == 16


@pytest.mark.parametrize(("one", "other"), [("10.10", "10.1"), ("0.1", "0.10000000000000001"), ("1.5", '"1.5"')])
def test_the_digest_of_a_change_tells_numbers_apart_as_they_are_written(one, other):
    """Else two changes could have one id."""
    first, second = (Memory(record(f'{{"x":{value}}}')).changes[0] for value in (one, other))
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("true", "1"),
        ("1", "1.0"),
        ("true", "1.0"),
        ("false", "0"),
        ("10.10", "10.1"),
        ("100000000000000000001", "100000000000000000002"),
        ("0.1", "0.10000000000000001"),
        ("null", '""'),
        ("null", "false"),
        ('"1"', "1"),
        ('"1.5"', "1.5"),
        ('""', '" "'),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ("[true]", "[1]"),
        ("[1.0]", "[1.00]"),
        ('[{"b":1}]', '[{"b":true}]'),
        ('"\\u00e9"', '"e\\u0301"'),
        ('"a"', '"A"'),
    ],
)
def test_values_are_compared_as_text(before, after):
    """Not by Python's equality, nor by that of people."""
    change = update(f'{{"x":{before}}}', f'{{"x":{after}}}')
    assert change.changed == ("x",)
    assert change.previous == f'{{"x":{before}}}'.encode() or json.loads(change.previous) == {"x": json.loads(before)}
    assert update(f'{{"x":{after}}}', f'{{"x":{before}}}').changed == ("x",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}'),
        ('{"a":[1,2]}', '{ "a" : [ 1 , 2 ] }'),
        ('{"a":[{"b":1,"c":2}]}', '{"a":[{"c":2,"b":1}]}'),
        ('{"a":"é"}', '{"a":"\\u00e9"}'),
        ('{"a":"/"}', '{"a":"\\/"}'),
        ('{"a":1,"updatedAt":"x"}', '{"a":1,"updatedAt":"y"}'),
        ('{"a":1}', '{"a":1,"updatedAt":"y"}'),
    ],
)
def test_the_same_content_is_no_change(before, after):
    """Also when the stamp moved: a save that changed nothing. What to remember is the new one."""
    memory = Memory(record(before))
    assert memory.look([record(after, stamp=T1)]) == []
    assert memory.bodies["a"] == after.encode()
    assert memory.marks["a"] == Mark("a", parse_time(T1), digest(after.encode()))


def test_null_and_absent_are_different():
    """What was not there has no previous value; what is gone is changed too."""
    appeared = update('{"id":"a"}', '{"id":"a","x":null}')
    assert (appeared.changed, appeared.previous) == (("x",), b"{}")
    gone = update('{"id":"a","x":null}', '{"id":"a"}')
    assert (gone.changed, gone.previous) == (("x",), b'{"x":null}')


def test_paths_are_dotted_and_in_the_order_of_the_record():
    """What is gone comes last; lists are changed as a whole."""
    change = update(
        '{"gone":1,"z":{"a":1,"b":{"c":2,"d":3}},"list":[1],"kind":{"x":1}}',
        '{"z":{"b":{"d":4,"c":2},"a":2},"list":[1,2],"kind":"x","new":{"y":1}}',
    )
    assert change.changed == ("z.b.d", "z.a", "list", "kind", "new", "gone")
    assert json.loads(change.previous) == {"z.b.d": 3, "z.a": 1, "list": [1], "kind": {"x": 1}, "gone": 1}


def test_previous_values_keep_their_digits():
    """10.10 does not become 10.1, nor a long number a float."""
    change = update('{"a":10.10,"b":123456789012345678901}', '{"a":1,"b":1}')
    assert change.previous == b'{"a":10.10,"b":123456789012345678901}'


def test_a_change_without_a_moved_stamp_is_told():
    """The digest decides, the timestamp only steers."""
    assert update('{"a":1}', '{"a":2}', moved=False).changed == ("a",)


@pytest.mark.parametrize("moved", [True, False])
def test_ignored_paths_never_make_a_change(moved):
    """Whole fields, and fields within."""
    rules = {"ignore": frozenset({"pdf", "custom.seen"})}
    before, after = '{"pdf":"1","custom":{"seen":1}}', '{"pdf":"2","custom":{"seen":2}}'
    assert update(before, after, moved=moved, **rules) is None
    change = update(before, '{"pdf":"2","custom":{"seen":2,"more":1}}', moved=moved, **rules)
    assert change.changed == ("custom.more",)
    assert update(before, '{"pdf":"2","custom":null}', moved=moved, **rules).changed == ("custom",)


def test_ignored_paths_are_not_in_the_digest():
    """So that two looks at one change with other values of them agree on its id."""
    rules = Rules(ignore=frozenset({"pdf", "custom.seen"}))
    bodies = ['{"a":1,"pdf":"1","custom":{"seen":1}}', '{"a":1,"pdf":"2","custom":{"seen":2}}']
    one, other = (Memory(record(body), rules=rules).changes[0] for body in bodies)
    assert one.digest == other.digest


def test_a_rendered_path_counts_only_when_the_stamp_moved():
    """The API writes it anew when it answers; a person changes it together with the stamp."""
    rules = {"rendered": frozenset({"note"})}
    before, after = '{"note":"on the 1st"}', '{"note":"on the 2nd"}'
    assert update(before, after, moved=False, **rules) is None
    assert update(before, after, moved=True, **rules).changed == ("note",)
