"""A page from bytes to records: what is good is a slice of the answer, what is bad is named."""

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.diff import digest
from poller.model import Record, parse_time
from poller.sources import Incomplete, pages

STAMP = "2026-02-11T14:02:07.093Z"
GOOD = b'{"id":"a","updatedAt":"2026-02-11T14:02:07.093Z","total":10.10}'
AS_READ = Record("a", parse_time(STAMP), deleted=False, body=GOOD, digest=digest(GOOD))
AS_STAMPED = AS_READ._replace(body=b"", digest=b"")


def page(*pieces):
    return b"[" + b",".join(pieces) + b"]"


def read(answer, *, bodies):
    """The records of a page, and what it has beside them."""
    found = pages.read(answer, bodies=bodies)
    assert found.ids == tuple(record.id for record in found.records)
    return list(found.records), list(found.quarantined)


def test_a_record_is_a_slice_of_the_answer():
    """Blanks, digits and escapes stay as they were; line ends become blanks."""
    pretty = b'{\n  "id": "a",\r\n  "total": 10.10, "name": "\\u017d" }'
    records, quarantined = read(b"\n[ " + pretty + b" ]\n", bodies=True)
    assert [record.body for record in records] == [pretty.replace(b"\n", b" ").replace(b"\r", b" ")]
    assert quarantined == []


def test_an_empty_page_is_a_page():
    """With blanks, and with a byte order mark, too."""
    for answer in (b"[]", b" [ ]\n", b"\xef\xbb\xbf[]"):
        assert read(answer, bodies=True) == ([], [])


def test_fault_39_a_byte_order_mark_is_no_part_of_the_page():
    """Some servers put it there."""
    assert read(b"\xef\xbb\xbf" + page(GOOD), bodies=True) == ([AS_READ], [])


def test_a_listing_without_bodies_has_ids_and_stamps():
    """Their bodies are empty."""
    assert read(page(GOOD), bodies=False) == ([AS_STAMPED], [])


@pytest.mark.parametrize(
    ("fields", "deleted"),
    [
        ({"_isDeleted": True}, True),
        ({"_isDeleted": False}, False),
        ({}, False),
        ({"deletedAt": STAMP}, True),
        ({"_isDeleted": None, "deletedAt": STAMP}, True),
        ({"_isDeleted": False, "deletedAt": STAMP}, False),
        ({"_isDeleted": None, "deletedAt": None}, False),
        ({"_isDeleted": "true"}, False),
        ({"_isDeleted": 1}, False),
    ],
)
def test_what_a_tombstone_is(fields, deleted):
    """The flag says it; without one, the date."""
    [record], _ = read(page(json.dumps({"id": "a"} | fields).encode()), bodies=True)
    assert record.deleted is deleted


@pytest.mark.parametrize("spoiled", [b"", b',{"x":NaN}'])
def test_of_what_is_known_nothing_but_the_digest_is_read(spoiled):
    """The order stays that of the page; where it has to be cut by hand, all of it is read."""
    other = b'{"id":"b"}'
    found = pages.read(page(other, GOOD)[:-1] + spoiled + b"]", bodies=True, known=lambda _: {digest(GOOD): "a"})
    assert found.ids == ("b", "a")
    assert [record.id for record in found.records] == (["b", "a"] if spoiled else ["b"])


@pytest.mark.parametrize("stamp", [None, 5, "soon", "9999-12-31T23:59:59-12:00"])
def test_a_record_without_a_usable_stamp_is_a_record(stamp):
    """Its content decides."""
    [record], quarantined = read(page(json.dumps({"id": "a", "updatedAt": stamp}).encode()), bodies=True)
    assert (record.updated_ms, quarantined) == (None, [])


@pytest.mark.parametrize(
    "value", ["", "x" * 129, "a b", "a\tb", "a\u00a0b", "\u202e", 42, 1.5, True, None, [], {}, "\x00"]
)
@pytest.mark.parametrize("bodies", [True, False])
def test_fault_37_a_record_without_a_usable_id_is_quarantined(value, bodies):
    """The rest of the page goes on; 1 is not "1"."""
    records, [quarantined] = read(page(GOOD, json.dumps({"id": value}).encode()), bodies=bodies)
    assert [record.id for record in records] == ["a"]
    assert quarantined.reason.startswith("it has no usable id: ")
    assert len(quarantined.key) == 16
    assert len(quarantined.reason) < 80


@pytest.mark.parametrize("value", [{"name": "Jane Doe"}, ["Jane Doe"]])
def test_of_what_is_no_id_at_all_nothing_is_told(value):
    """It may be any part of the record."""
    _, [quarantined] = read(page(json.dumps({"id": value}).encode()), bodies=True)
    assert "Jane" not in quarantined.reason


@pytest.mark.parametrize(
    ("piece", "key"),
    [
        (b'{"id":"b","name":"\\ud800"}', "b"),
        (b'{"id":"b","total":NaN}', "b"),
        (b'{"id":"b","total":-Infinity}', "b"),
        (b'{"id":"b","total":01}', None),
        (b'{"id":"b","name":"\x00"}', None),
        (b'{"id":"b","name":"\xff\xfe"}', None),
        (b'{"id":"b","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
        (b'{"id":' + b"9" * 5000 + b"}", None),
        (b"{'id':'b'}", None),
        (b"null", None),
        (b"[]", None),
        (b'"text"', None),
        (b"", None),
    ],
    ids=lambda piece: str(piece)[:24],
)
@pytest.mark.parametrize("last", [True, False])
def test_fault_39_a_record_that_is_no_json_object_is_quarantined_alone(piece, key, last):
    """By its id where a lenient reader finds one; what is beside it is read as ever."""
    records, [quarantined] = read(page(GOOD, piece) if last else page(piece, GOOD), bodies=True)
    assert records == [AS_READ]
    assert quarantined.key == key or (key is None and len(quarantined.key) == 16)


def test_a_bad_record_without_bodies_is_quarantined_alone():
    """As in a page of whole records."""
    records, [quarantined] = read(page(b'{"id":"b","x":NaN}', GOOD), bodies=False)
    assert (records, quarantined.key) == ([AS_STAMPED], "b")


@pytest.mark.parametrize("more", [b"", b',{"x":NaN}'])
@pytest.mark.parametrize("number", [b"1e999", b"9" * 5000, b"-0.00"])
def test_fault_39_a_number_of_any_size_is_a_number(number, more):
    """JSON has no limits: the record goes on, whether or not the page had to be cut by hand."""
    odd = b'{"id":"b","total":%b}' % number
    assert read(b"[" + odd + more + b"]", bodies=True)[0] == [
        Record("b", None, deleted=False, body=odd, digest=digest(odd))
    ]


def test_fault_39_of_two_equal_keys_the_last_counts():
    """As most readers take it; the record goes on as it is."""
    odd = b'{"id":"a","id":"b","total":1,"total":2}'
    assert read(page(odd), bodies=True) == ([Record("b", None, deleted=False, body=odd, digest=digest(odd))], [])


def test_brackets_and_quotes_in_a_string_cut_nothing():
    """Also where the page has to be cut by hand."""
    odd = rb'{"id":"b","name":"],[{\"}\\","more":["]"]}'
    records, [_] = read(page(odd, b'{"x":NaN}', GOOD), bodies=True)
    assert [record.body for record in records] == [odd, GOOD]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"null", "not JSON"),
        (b"OK", "not JSON"),
        (b'"[]"', "not JSON"),
        (b'{"error":{"statusCode":500}}', "a JSON object, not a list"),
        (b'{"data":[]}', "a JSON object, not a list"),
        (b"<!DOCTYPE html><html></html>", "a web page, not JSON"),
        (b"\n<html>[]</html>", "a web page, not JSON"),
        (b"[", "cut short"),
        (b"[]]", "cut short or not JSON|cut short"),
        (b"[] <!-- -->", "cut short"),
        (b"[][]", "cut short"),
        ("[]".encode("utf-16"), "not JSON"),
        (b'[{"id":"a"]', "cut short"),
    ],
)
def test_what_is_no_list_is_no_page(answer, words):
    """Nothing of it is used; the message says what it looks like."""
    with pytest.raises(Incomplete, match=words):
        read(answer, bodies=True)


@pytest.mark.parametrize("bodies", [True, False])
@pytest.mark.parametrize("more", [b"", b',{"id":"c","x":NaN}'])
def test_a_page_cut_at_any_byte_is_no_page(bodies, more):
    """Also within strings, escapes and brackets, and when the page had to be cut by hand anyway."""
    whole = rb'[{"id":"a","n":[1,{"b":"]}\"[\\"}]},{"id":"b","x":"\u017d]"}' + more + b"]"
    assert len(read(whole, bodies=bodies)[0]) == 2
    for end in range(len(whole)):
        with pytest.raises(Incomplete):
            read(whole[:end], bodies=bodies)


@pytest.mark.parametrize(
    "answer", [b"[" + GOOD + b",]", b"[," + GOOD + b"]", b"[" + GOOD + b",," + GOOD + b"]", b"[,]"]
)
def test_an_empty_place_in_the_list_is_not_passed_over(answer):
    """It is not JSON: something is missing there, and so it is named."""
    _, quarantined = read(answer, bodies=True)
    assert quarantined


def test_one_bad_record_does_not_take_the_memory_of_many():
    """Cutting a page by hand costs what the page costs, however long its strings are."""
    long = b'{"id":"a","name":"' + b"x" * (4 << 20) + b"\\n" * (1 << 20) + b'"}'
    answer = page(long, b'{"x":NaN}')
    tracemalloc.start()
    try:
        read(answer, bodies=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(answer)


@given(st.lists(st.dictionaries(st.sampled_from(["id", "updatedAt", "x"]), st.text() | st.none() | st.integers())))
def test_every_place_of_a_page_is_a_record_or_is_quarantined(rows):
    """Nothing is passed over, and the order is kept."""
    answer = json.dumps(rows).encode()
    records, quarantined = read(answer, bodies=True)
    assert len(records) + len(quarantined) == len(rows)
    places = [json.dumps(row).encode() for row in rows]
    assert [record.body for record in records] == [piece for piece in places if piece in {r.body for r in records}]


@given(st.binary(max_size=60) | st.text('[]{},"\\:1ax ', max_size=30).map(str.encode))
def test_no_bytes_at_all_are_more_than_incomplete(answer):
    """There is no other error."""
    with suppress(Incomplete):
        read(answer, bodies=True)
