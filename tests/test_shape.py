"""What a route sends in place of the event: bodies, parts of the record, and the definitions that are kept of them."""

import json

import pytest

from poller.expression import EvaluationError, read
from poller.model import CLOUDEVENT, Delivery, Kind
from poller.samples import sample
from poller.shape import JSON, define, define_text, render
from poller.sources.spaceinvoices import RESOURCES


def delivery(resource="documents", kind=Kind.UPDATED, **record):
    event = sample("spaceinvoices", RESOURCES[resource], kind)
    body = event.body
    if record:
        told = json.loads(body)
        told["data"]["object"] |= record
        body = json.dumps(told).encode()
    return Delivery("crm", 1, 1, event.id, event.trigger, 0, 0, body, route="big", shape="s")


def sent(definition, one=None):
    """What is sent of an event, as a value."""
    return read(render(define({"route": "big", **definition}), one or delivery()).body)


def part(definition, one=None):
    """What is sent of its record."""
    return sent(definition, one)["data"]["object"]


def test_a_body_is_a_message_of_its_own():
    """Under an id of its own, in JSON, with the digits of the record."""
    one = delivery()
    made = render(define({"route": "big", "body": {"total": "${data.totalWithTax}", "id": "${data.id}"}}), one)
    assert made.body == b'{"total":549.0,"id":"67a0b35be4f5a60013b7d00c"}'
    assert (made.event_id, made.content_type) == (f"{one.event_id}_big", JSON)


def test_a_body_that_cannot_be_made_is_an_error():
    """With the expression."""
    with pytest.raises(EvaluationError, match=r"lower\(data.totalWithTax\)"):
        sent({"body": "${lower(data.totalWithTax)}"})


def test_a_kept_definition_makes_the_same_bytes():
    """Keys stand in the order in which they were written, at every attempt."""
    made = define({"route": "big", "body": {"z": "${data.id}", "a": {"y": 10.10, "b": 1}}})
    again = define_text(made.text)
    assert again.digest == made.digest
    assert render(again, delivery()).body == render(made, delivery()).body


def test_another_order_is_another_definition():
    """Its bytes are others."""
    one, other = (define({"route": "big", "body": body}) for body in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one.digest != other.digest


def test_an_event_with_a_part_of_its_record_is_the_event_still():
    """Under its id, and in its form; the id of the record stays, whatever is asked for."""
    one = delivery()
    made = render(define({"route": "big", "fields": ["number"]}), one)
    assert (made.event_id, made.content_type) == (one.event_id, CLOUDEVENT)
    told, before = read(made.body), read(one.body)
    assert told | {"data": 0} == before | {"data": 0}
    assert told["data"]["object"] == {"id": before["data"]["object"]["id"], "number": "2025-00017"}


RECORD = {
    "custom": {"vip": True, "tags": ["a"], "deep": {"x": 1, "y": 2}},
    "lines": [{"name": "one", "price": 1}, {"name": "two", "price": 2}, "text"],
    "note": "secret",
}
PARTS = [
    ({"fields": ["custom.vip"]}, {"custom": {"vip": True}}),
    ({"fields": ["custom"]}, {"custom": RECORD["custom"]}),
    ({"fields": ["custom"], "drop": ["custom.deep"]}, {"custom": {"vip": True, "tags": ["a"]}}),
    ({"fields": ["custom.deep.x", "note"]}, {"custom": {"deep": {"x": 1}}, "note": "secret"}),
    ({"fields": ["lines.name"]}, {"lines": [{"name": "one"}, {"name": "two"}]}),
    ({"fields": ["note.text"]}, {}),
    ({"fields": ["lines"], "drop": ["lines.price"]}, {"lines": [{"name": "one"}, {"name": "two"}, "text"]}),
    ({"fields": ["nothing"]}, {}),
    ({"fields": ["custom"], "drop": ["custom"]}, {}),
]


@pytest.mark.parametrize(("definition", "kept"), PARTS)
def test_the_part_of_a_record(definition, kept):
    """Of the items of a list as of an object; what is no object has no fields, and so is not sent for them."""
    one = delivery("clients", **RECORD)
    assert part(definition, one) == {"id": read(one.body)["data"]["object"]["id"]} | kept


def test_what_is_dropped_leaves_the_rest():
    """Everything else."""
    one = delivery("clients", **RECORD)
    whole = read(one.body)["data"]["object"]
    without = {name: value for name, value in whole.items() if name not in ("custom", "note")}
    assert part({"drop": ["custom", "note"]}, one) == without


def updated(changed, previous):
    one = delivery()
    told = json.loads(one.body)
    told["data"] |= {"changed": changed, "previous": previous}
    return one._replace(body=json.dumps(told).encode())


@pytest.mark.parametrize(
    ("definition", "changed", "previous"),
    [
        ({"fields": ["number"]}, [], {}),
        ({"fields": ["custom.vip"]}, ["custom"], {"custom": {"vip": False}}),
        ({"drop": ["custom.key", "lines"]}, ["custom", "note"], {"custom": {"vip": False}, "note": "old"}),
        ({"drop": ["lines.price"]}, ["custom", "lines", "note"], "all but prices"),
        ({"fields": ["note.text", "lines.name"]}, ["lines", "note"], {"lines": [{"name": "one"}]}),
    ],
)
def test_what_is_left_out_is_not_told_as_a_change_either(definition, changed, previous):
    """Neither its path, nor its old value within another."""
    before = {"custom": {"vip": False, "key": "k"}, "lines": [{"name": "one", "price": 1}], "note": "old"}
    told = sent(definition, updated(["custom", "lines", "note"], before))["data"]
    expected = before | {"lines": [{"name": "one"}]} if previous == "all but prices" else previous
    assert (told["changed"], told["previous"]) == (changed, expected)


def test_numbers_keep_their_digits_in_a_part():
    """They are not reckoned with."""
    one = delivery()
    body = one.body.replace(b'"totalWithTax":549.0', b'"totalWithTax":549.10')
    assert body != one.body
    made = render(define({"route": "big", "fields": ["totalWithTax"]}), one._replace(body=body))
    assert b'"totalWithTax":549.10' in made.body
