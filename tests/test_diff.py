"""Remembered and seen, compared: every branch, and what holds for all records."""

import json
import random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.diff import (
    Rules,
    absent,
    compare,
    differing,
    digest,
    holds,
    newest,
    returned,
    suspects,
    vanished,
)
from poller.model import Kind, Mark, Record, State, format_time, parse_time

T0, T1, T2 = "2026-02-11T14:02:07.000Z", "2026-02-11T14:02:08.000Z", "2026-02-11T14:02:09.000Z"


def record(text, *, stamp=T0, record_id="a", deleted=False):
    """A record whose body is ``text``, a JSON object."""
    body = text if isinstance(text, bytes) else text.encode()
    return Record(record_id, parse_time(stamp), deleted, body, digest(body))


PLAIN = Rules()


class Memory:
    """What a store would remember: marks and last bodies, as findings say."""

    def __init__(self, *records, rules=PLAIN):
        self.marks, self.bodies, self.changes = {}, {}, []
        self.look(records, rules)

    def look(self, records, rules=PLAIN):
        """Compare, and remember; the changes."""
        fresh = differing(newest(records).values(), self.marks)
        findings, self.quarantined = compare(fresh, self.marks, self.bodies, rules, "")
        return self.keep(findings)

    def keep(self, findings):
        changes = []
        for finding in findings:
            before = self.marks.get(finding.mark.id)
            assert finding.was == (before.state if before else None)
            self.marks[finding.mark.id] = finding.mark
            if finding.body:
                self.bodies[finding.mark.id] = finding.body
            elif finding.body is not None:
                self.bodies.pop(finding.mark.id, None)
            changes += [finding.change] if finding.change else []
        self.changes += changes
        return changes

    def lose(self, ids, rules=PLAIN):
        """These are missing from a complete listing, and confirmed to be gone."""
        self.keep(absent(self.marks.values(), self.marks.keys() - set(ids), ""))
        missing = [mark for mark in self.marks.values() if mark.state == State.MISSING]
        return self.keep([vanished(mark, self.bodies[mark.id], rules) for mark in missing])


def update(before, after, *, moved=True, **rules):
    """The one change between two bodies, or None."""
    memory = Memory(record(before))
    changes = memory.look([record(after, stamp=T1 if moved else T0)], Rules(**rules))
    assert len(changes) <= 1
    return changes[0] if changes else None


def test_a_digest_is_small():
    """One is kept of each record."""
    assert len(digest(b"{}")) == 16


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


@pytest.mark.parametrize(("one", "other"), [("10.10", "10.1"), ("0.1", "0.10000000000000001"), ("1.5", '"1.5"')])
def test_the_digest_of_a_change_tells_numbers_apart_as_they_are_written(one, other):
    """Else two changes could have one id."""
    first, second = (Memory(record(f'{{"x":{value}}}')).changes[0] for value in (one, other))
    assert first.digest != second.digest


# One by one


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


def test_first_sight_is_told_unless_silent():
    """With the record's own time of creation; a silent look remembers just the same."""
    body = f'{{"id":"a","createdAt":"{T0}","updatedAt":"{T1}"}}'
    told, silent = Memory(record(body, stamp=T1)), Memory(record(body, stamp=T1), rules=Rules(silent=True))
    [change] = told.changes
    assert (change.kind, change.time_ms, change.version_ms) == (Kind.CREATED, parse_time(T0), parse_time(T1))
    assert change.body == body.encode()
    assert silent.changes == []
    assert (silent.marks, silent.bodies) == (told.marks, told.bodies)


def test_a_silent_look_tells_of_what_was_known():
    """Only first sight is silent."""
    memory = Memory(record('{"a":1}'))
    assert memory.look([record('{"a":2}')], Rules(silent=True))[0].kind == Kind.UPDATED


def test_a_tombstone_deletes():
    """It is the event's record; its time is that of the deletion. The last body is forgotten."""
    memory = Memory(record('{"id":"a"}'))
    tombstone = f'{{"id":"a","_isDeleted":true,"deletedAt":"{T2}"}}'
    [change] = memory.look([record(tombstone, stamp=T1, deleted=True)])
    assert (change.kind, change.time_ms, change.version_ms) == (Kind.DELETED, parse_time(T2), parse_time(T1))
    assert change.body == tombstone.encode()
    assert (memory.marks["a"].state, memory.bodies) == (State.DELETED, {})


def test_a_tombstone_without_a_date_has_the_stamp_s():
    """``deletedAt`` may be missing or unusable."""
    memory = Memory(record('{"id":"a"}'))
    [change] = memory.look([record('{"id":"a","deletedAt":"soon"}', stamp=T1, deleted=True)])
    assert change.time_ms == parse_time(T1)


@pytest.mark.parametrize("ignore", [frozenset(), frozenset({"pdf"})])
def test_the_digest_of_a_deletion_is_that_of_its_content(ignore):
    """As of any other change: by tombstone or without one, two that saw it agree on the event's id."""
    body, tombstone = '{"id":"a","pdf":"1","updatedAt":"x"}', '{"pdf":"2","id":"a","_isDeleted":true}'
    told = Memory(record(body)).look([record(tombstone, deleted=True)], Rules(ignore=ignore))[0]
    lost = Memory(record(body)).lose(["a"], Rules(ignore=ignore))[0]
    for change, same in ((told, tombstone), (lost, body)):
        assert change.digest == Memory(record(same), rules=Rules(ignore=ignore)).changes[0].digest
    assert told.digest != lost.digest


def test_a_tombstone_is_told_once():
    """Also when it is written anew."""
    memory = Memory(record('{"id":"a"}'))
    memory.look([record('{"id":"a","_isDeleted":true}', deleted=True)])
    assert memory.look([record('{"id":"a","_isDeleted":true,"deletedId":"a"}', stamp=T1, deleted=True)]) == []
    assert memory.marks["a"].updated_ms == parse_time(T1)


def test_born_and_deleted_between_two_looks_is_not_known():
    """It was never told as created, so it is not told as deleted; nothing is remembered of it."""
    memory = Memory(record('{"id":"a","_isDeleted":true}', deleted=True))
    assert (memory.marks, memory.changes) == ({}, [])


def test_a_restored_record_is_created_again():
    """At the time of its restoration."""
    memory = Memory(record('{"id":"a"}'))
    memory.look([record('{"id":"a","_isDeleted":true}', stamp=T1, deleted=True)])
    body = f'{{"id":"a","createdAt":"{T0}","updatedAt":"{T2}"}}'
    [change] = memory.look([record(body, stamp=T2)], Rules(silent=True))
    assert (change.kind, change.time_ms) == (Kind.CREATED, parse_time(T2))
    assert memory.bodies["a"] == body.encode()


def test_a_vanished_record_speaks_by_its_last_body():
    """The time of a hard deletion is not known. The last body is forgotten, and its place with it."""
    memory = Memory(record('{"id":"a","total":10.10}'))
    memory.marks["a"] = memory.marks["a"]._replace(body=7)
    [change] = memory.lose(["a"])
    assert memory.marks["a"].body == 0
    assert (change.kind, change.time_ms, change.body) == (Kind.DELETED, None, b'{"id":"a","total":10.10}')
    assert change.version_ms == parse_time(T0)
    assert (memory.marks["a"].state, memory.bodies) == (State.DELETED, {})


def test_a_vanished_record_of_unreadable_content_is_told_all_the_same():
    """Bodies that a former version took are not lost."""
    finding = vanished(Mark("a", None, b""), b'{"a":NaN}', Rules())
    assert (finding.change.body, finding.change.digest) == (b'{"a":NaN}', digest(b'{"a":NaN}'))


def test_a_tombstone_after_a_hard_deletion_is_no_news():
    """It may be shown late."""
    memory = Memory(record('{"id":"a"}'))
    memory.lose(["a"])
    assert memory.look([record('{"id":"a","_isDeleted":true}', deleted=True)]) == []


@pytest.mark.parametrize("state", [State.MISSING, State.DISMISSED])
def test_a_missing_record_that_is_back_is_live(state):
    """Unchanged it makes no event, changed an update, deleted a deletion."""
    for after, kinds in (('{"a":1}', []), ('{"a":2}', [Kind.UPDATED])):
        memory = Memory(record('{"a":1}'))
        memory.marks["a"] = memory.marks["a"]._replace(state=state)
        assert [change.kind for change in memory.look([record(after)])] == kinds
        assert memory.marks["a"].state == State.LIVE
    memory.marks["a"] = memory.marks["a"]._replace(state=state)
    assert [change.kind for change in memory.look([record('{"a":1}', deleted=True)])] == [Kind.DELETED]


@pytest.mark.parametrize(
    "body",
    [
        '{"a":NaN}',
        '{"a":1e99999999999999999999}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":' + "[" * 5000 + "]" * 5000 + "}",
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[]",
        "",
        b'{"a":"\xff"}',
    ],
    ids=["NaN", "huge exponent", "long number", "deep list", "deep object", "a list", "nothing", "not UTF-8"],
)
def test_an_unreadable_record_is_quarantined_alone(body):
    """Its mark stays as it was, the others go on."""
    memory = Memory(record('{"a":1}'), record('{"b":1}', record_id="b"))
    before = memory.marks["a"]
    changes = memory.look([record(body), record('{"b":2}', record_id="b")])
    assert [change.record_id for change in changes] == ["b"]
    [quarantined] = memory.quarantined
    assert (quarantined.key, memory.marks["a"]) == ("a", before)
    assert quarantined.reason.startswith("the record cannot be read: ")


def test_without_a_last_body_nothing_is_told_of_a_change():
    """A state that lost it says nothing that may be wrong; its mark stays as it was."""
    memory = Memory(record('{"a":1}'))
    before = memory.marks["a"]
    memory.bodies.clear()
    assert memory.look([record('{"a":2}')]) == []
    assert ([one.key for one in memory.quarantined], memory.marks["a"]) == (["a"], before)


def test_a_record_s_parent_is_remembered():
    """And replaced, where it moved."""
    for parent in ("list 1", "list 2"):
        [finding], _ = compare(
            [record("{}")], {"a": Mark("a", None, b"", parent="list 1")}, {"a": b"{}"}, Rules(), parent
        )
        assert finding.mark.parent == parent


def test_of_two_with_one_id_the_newer_is_taken():
    """By stamp; of equal ones, the one shown last. No stamp is older than any."""
    shown = [record("{}", stamp=stamp) for stamp in (T1, T2, T0, None)]
    assert newest(shown)["a"].updated_ms == parse_time(T2)
    assert newest([record('{"x":1}'), record('{"x":2}')])["a"].body == b'{"x":2}'
    assert newest([record('{"x":1}', stamp=None), record('{"x":2}', stamp=None)])["a"].body == b'{"x":2}'


# Listings of ids and stamps


def stamped(stamp=T0, *, deleted=False, record_id="a"):
    return Record(record_id, parse_time(stamp), deleted, b"", b"")


@pytest.mark.parametrize(
    ("state", "shown", "suspect"),
    [
        (None, stamped(), True),
        (None, stamped(deleted=True), False),
        (State.LIVE, stamped(), False),
        (State.LIVE, stamped(T1), True),
        (State.LIVE, stamped(None), True),
        (State.LIVE, stamped(deleted=True), True),
        (State.DELETED, stamped(T1, deleted=True), False),
        (State.DELETED, stamped(), True),
        (State.MISSING, stamped(), False),
        (State.MISSING, stamped(T1), True),
        (State.MISSING, stamped(deleted=True), True),
        (State.DISMISSED, stamped(), False),
    ],
)
def test_what_to_ask_for_whole(state, shown, suspect):
    """Unknown ones, other stamps, other states."""
    marks = {} if state is None else {"a": Mark("a", parse_time(T0), b"", state)}
    assert suspects([shown], marks) == ([shown] if suspect else [])


@pytest.mark.parametrize(
    ("state", "shown", "back"),
    [
        (None, stamped(), False),
        (State.LIVE, stamped(), False),
        (State.MISSING, stamped(), True),
        (State.DISMISSED, stamped(), True),
        (State.MISSING, stamped(T1), False),
        (State.MISSING, stamped(deleted=True), False),
        (State.DELETED, stamped(), False),
    ],
)
def test_who_is_back_unchanged(state, shown, back):
    """Missing ones shown again with the same stamp; the others are looked at whole."""
    marks = {} if state is None else {"a": Mark("a", parse_time(T0), b"", state)}
    found = list(returned([shown], marks))
    assert [(finding.was, finding.mark.state) for finding in found] == ([(state, State.LIVE)] if back else [])
    assert all(finding.change is None and finding.body is None for finding in found)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("parent", ["", "list"])
@pytest.mark.parametrize("shown", [True, False])
def test_only_live_ones_of_the_listing_become_missing(state, parent, shown):
    """And nothing is told of it yet."""
    mark = Mark("a", None, b"digest", state, parent, body=7)
    found = list(absent([mark], ["a"] if shown else ["b"], ""))
    if state == State.LIVE and parent == "" and not shown:
        assert [(finding.was, finding.mark) for finding in found] == [(State.LIVE, mark._replace(state=State.MISSING))]
        assert (found[0].body, found[0].change) == (None, None)
    else:
        assert found == []


@pytest.mark.parametrize(
    ("missing", "live", "held"),
    [
        (0, 0, False),
        (1, 0, False),
        (10, 0, False),
        (11, 0, True),
        (11, 43, True),
        (11, 44, False),
        (100, 399, True),
        (100, 400, False),
        (5000, 0, True),
    ],
)
def test_too_many_at_once_are_held(missing, live, held):
    """More than 10, and more than a fifth of all."""
    assert holds(missing, live) is held


def test_a_time_written_is_a_time_read():
    """The helper of these tests means what it says."""
    assert format_time(record("{}").updated_ms) == T0
