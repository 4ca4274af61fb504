"""A record is created, deleted, restored, lost, found again or unreadable: what is told and remembered of it."""

import pytest
from remembered import T0, T1, T2, Memory, record

from poller.diff import Rules, compare, digest, vanished
from poller.model import Kind, Mark, State, format_time, parse_time


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


def test_a_time_written_is_a_time_read():
    """The helper of these tests means what it says."""
    assert format_time(record("{}").updated_ms) == T0
