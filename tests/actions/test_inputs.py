"""What is said of an action: checked, completed, stamped."""

from decimal import Decimal

import pytest

from poller.actions import systems
from poller.actions.inputs import InputError, objections, prepare
from poller.actions.reading import system
from poller.expression import File

SCOPE = {
    "event": {"id": "evt_1", "organization": "org1", "recorded": "2026-02-11T14:02:07.093Z", "origin": "here"},
    "step": {"id": "s1", "key": "evt_1_abc"},
}
PDF = File("2025-1.pdf", "application/pdf", b"%PDF")


def action(do):
    name, _, key = do.partition(".")
    return systems()[name].actions[key]


def one(row, **more):
    """An action of one input ``x``."""
    table = {"title": "T", "method": "POST", "path": "/", "repeat": "safe", "body": {"x": "${with.x}"}}
    made = system(
        "t", {"title": "T", "base_url": "https://t.example", "action": {"a": {**table, "inputs": {"x": row}, **more}}}
    )
    return made.actions["a"]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string"}, ""),
        ({"type": "number"}, Decimal("10.10")),
        ({"type": "number"}, 3),
        ({"type": "integer"}, 3),
        ({"type": "boolean"}, False),
        ({"type": "object"}, {"a": [1]}),
        ({"type": "list"}, ["a", 1]),
        ({"type": "file"}, PDF),
        ({"type": "string", "max_length": 3}, "abc"),
        ({"type": "string", "choices": ["a", "b"]}, "b"),
        ({"type": "string", "pattern": "[a-z]+"}, "abc"),
        ({"type": "object", "flat": True, "max_fields": 2}, {"a": "x", "b": Decimal("1.5")}),
        ({"type": "object", "max_bytes": 10}, {"a": "xy"}),
    ],
)
def test_what_fits_is_taken(row, value):
    """As it is."""
    assert prepare(one(row), {"x": value}, SCOPE) == {"x": value}


@pytest.mark.parametrize(
    ("row", "value", "told"),
    [
        ({"type": "string"}, 5, "x: should be a string"),
        ({"type": "string"}, PDF, "x: should be a string"),
        ({"type": "number"}, "5", "x: should be a number"),
        ({"type": "number"}, True, "x: should be a number"),
        ({"type": "integer"}, Decimal("3.5"), "x: should be a whole number"),
        ({"type": "integer"}, True, "x: should be a whole number"),
        ({"type": "boolean"}, 1, "x: should be true or false"),
        ({"type": "boolean"}, "true", "x: should be true or false"),
        ({"type": "object"}, [1], "x: should be an object"),
        ({"type": "list"}, "a,b", "x: should be a list"),
        ({"type": "file"}, "text", "x: should be a file, or a page of HTML with a name"),
        ({"type": "string", "required": True}, None, "x: is missing, or null"),
        ({"type": "string", "required": True}, "  ", "x: is empty"),
        ({"type": "string", "max_length": 3}, "abcd", "x: is longer than 3 characters"),
        ({"type": "string", "choices": ["a", "b"]}, "c", "x: should be one of a, b"),
        ({"type": "string", "pattern": "[a-z]+"}, "abc1", "x: is not of the form that it should have"),
        ({"type": "object", "flat": True}, {"a": {}}, "x: should have texts, numbers and booleans only"),
        ({"type": "object", "flat": True}, {"a": None}, "x: should have texts, numbers and booleans only"),
        ({"type": "object", "max_fields": 1}, {"a": 1, "b": 2}, "x: has more than 1 fields"),
        ({"type": "object", "max_bytes": 9}, {"a": "xyz"}, "x: is larger than 9 bytes"),
        ({"type": "object", "max_bytes": 9}, {"a": PDF}, "x: has no form in JSON"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(row, value, told):
    """And never by value."""
    with pytest.raises(InputError) as caught:
        prepare(one(row), {"x": value}, SCOPE)
    assert str(caught.value) == told


def test_an_unknown_input_is_refused():
    """With the nearest."""
    with pytest.raises(InputError, match='campain: unknown input; did you mean "campaign"'):
        prepare(action("coupontools.send_coupon_by_sms"), {"campain": "c"}, SCOPE)


def test_null_is_as_good_as_nothing():
    """An optional input that a record does not fill is left out; one with a default gets that."""
    given = {"campaign": "c", "email": "a@b.si", "subject": None, "check_unique": None}
    assert prepare(action("coupontools.send_coupon_by_email"), given, SCOPE) == {
        "campaign": "c",
        "email": "a@b.si",
        "check_unique": True,
    }


def test_defaults_come_from_the_event():
    """And are the same at every attempt."""
    assert prepare(action("coupontools.create_single_use_session"), {"campaign": "c"}, SCOPE) == {
        "campaign": "c",
        "customid": "evt_1_abc",
        "duplicate_check": "customid",
    }


def test_stamps_stand_over_what_is_said():
    """Beside the rest of the object; and where nothing is said."""
    create = action("space-invoices.create_client")
    stamp = {"origin": "here", "sourceId": "evt_1_abc"}
    said = prepare(create, {"name": "A", "custom": {"origin": "me", "crmId": 1}}, SCOPE)
    assert said == {"name": "A", "organization_id": "org1", "custom": {"crmId": 1, **stamp}}
    assert prepare(create, {"name": "A"}, SCOPE)["custom"] == stamp


@pytest.mark.parametrize("phone", ["+38640555123", "+1234567"])
def test_a_phone_is_in_e_164(phone):
    """A plus, and 7 to 15 digits."""
    prepare(action("coupontools.send_coupon_by_sms"), {"campaign": "c", "phone": phone}, SCOPE)


@pytest.mark.parametrize(
    "phone", ["040555123", "+386 40 555 123", "+0123456789", "+123", "+1234567890123456", "+38640555123\n"]
)
def test_another_form_of_a_phone_is_refused(phone):
    """And the message says which is good."""
    with pytest.raises(InputError, match=r"^phone: .*E\.164"):
        prepare(action("coupontools.send_coupon_by_sms"), {"campaign": "c", "phone": phone}, SCOPE)


# Files


def ingest(**said):
    return prepare(action("contextual-ai.ingest_document"), {"datastore_id": "d", **said}, SCOPE)


def test_a_file_is_named_as_is_said():
    """The name in the upload and the name that is looked for are one."""
    found = ingest(file=PDF, filename="si-1.pdf")
    assert found["file"] == File("si-1.pdf", "application/pdf", b"%PDF")
    assert found["filename"] == "si-1.pdf"


def test_a_file_brings_its_name():
    """Where none is said."""
    assert ingest(file=PDF)["filename"] == "2025-1.pdf"


def test_a_text_is_a_page_of_html():
    """With a name that says so."""
    assert ingest(file="<p>č", filename="a.HTML")["file"] == File("a.HTML", "text/html; charset=utf-8", "<p>č".encode())
    with pytest.raises(InputError, match=r"^file: is a text, so filename should end in \.html"):
        ingest(file="<p>", filename="a.pdf")
    with pytest.raises(InputError, match=r"^file: should be a file"):
        ingest(file="<p>")


@pytest.mark.parametrize("ending", ["pdf", "PDF", "html", "htm", "mhtml", "doc", "docx", "ppt", "pptx"])
def test_endings_that_can_be_ingested(ending):
    """Nine of them, in either case."""
    assert ingest(file=PDF, filename=f"a.{ending}")


@pytest.mark.parametrize("name", ["a.json", "a", ".pdf", "a.pdfx", "a/b.pdf", "a\\b.pdf", "a.pdf\n"])
def test_names_that_cannot_be_ingested(name):
    """A JSON event, above all."""
    with pytest.raises(InputError, match=r"^filename: "):
        ingest(file=PDF, filename=name)


def test_custom_metadata_is_flat_and_small():
    """15 fields, 2 KB, and no objects."""
    ingest(file=PDF, custom_metadata={f"f{number}": number for number in range(15)})
    ingest(file=PDF, custom_metadata={"a": "x" * 2040})
    for bad in ({f"f{number}": number for number in range(16)}, {"a": "x" * 2041}, {"a": ["b"]}, {"a": None}):
        with pytest.raises(InputError, match=r"^custom_metadata: "):
            ingest(file=PDF, custom_metadata=bad)


# Before any event


def test_what_a_configuration_says_is_looked_at_when_it_is_read():
    """Unknown and missing inputs, and values without holes; others when they are known."""
    send = action("coupontools.send_coupon_by_sms")
    assert list(objections(send, {"campaign": "c", "phone": "${data.phone}"})) == []
    assert list(objections(send, {"campaign": 5, "fone": "1"})) == [
        'fone: unknown input; did you mean "phone"?',
        "campaign: should be a string",
        "phone: is missing",
    ]


def test_a_file_that_comes_may_bring_its_name():
    """So it is not missing yet."""
    assert (
        list(objections(action("contextual-ai.ingest_document"), {"datastore_id": "d", "file": "${steps.pdf}"})) == []
    )


def test_holes_are_seen_within_lists_and_objects():
    """What is in them is not known yet."""
    row = {"type": "object", "flat": True}
    assert list(objections(one(row), {"x": {"a": "${data.a}"}})) == []
    assert list(objections(one(row), {"x": {"a": ["b"]}})) == ["x: should have texts, numbers and booleans only"]
