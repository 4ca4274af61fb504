"""Inputs to the bytes of a request."""

from decimal import Decimal
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from systems.acting import SECRETS, VALUES, connection

from poller.actions import Call, systems
from poller.actions.inputs import InputError
from poller.actions.reading import system
from poller.actions.request import build, masked
from poller.expression import File


def made(inputs, *, values=None, **fields):
    """The request of an action with these fields, every input of which is there."""
    rows = {name: {"type": "string"} for name in inputs}
    used = {"query": {name: f"${{with.{name}}}" for name in inputs}}
    table = {"title": "T", "method": "POST", "path": "/", "repeat": "safe", **(fields or used), "inputs": rows}
    raw = {
        "title": "T",
        "base_url": "https://t.example/v1",
        "headers": {"X-Key": "key ${connection.key}"},
        "connection": {"key": "secret", "plain": "text"},
        "action": {"a": table},
    }
    here = system("t", raw)
    way = connection(here, here.base_url, values={"key": "s3cret/&", "plain": "open", **(values or {})})
    return build(Call(way, here.actions["a"], inputs))


def test_json_is_written_as_it_is():
    """Decimals as written; null leaves a key out; a constant null stays away."""
    found = made(
        {"total": Decimal("10.10"), "name": "Žiga", "gone": None},
        body={"total": "${with.total}", "name": "${with.name}", "gone": "${with.gone}", "fixed": [1, True]},
    )
    assert found.body == '{"total":10.10,"name":"Žiga","fixed":[1,true]}'.encode()
    assert found.headers == {"X-Key": "key s3cret/&", "Content-Type": "application/json"}


def test_a_form_is_encoded():
    """Booleans in words, lists and objects as JSON, null not at all."""
    found = made(
        {"a": "č & =", "b": True, "c": [1, "x"], "d": None},
        form={"a": "${with.a}", "b": "${with.b}", "c": "${with.c}", "d": "${with.d}", "e": "n ${with.d}"},
    )
    assert parse_qsl(found.body.decode(), strict_parsing=True) == [
        ("a", "č & ="),
        ("b", "true"),
        ("c", '[1,"x"]'),
        ("e", "n "),
    ]
    assert found.content_type == "application/x-www-form-urlencoded"


def parts(request):
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    assert not message.defects
    return list(message.iter_parts())


def test_a_multipart_body_has_files_and_fields():
    """As a reader of others reads it."""
    pdf = File('a "b"\r\n.pdf', "application/pdf", bytes(range(256)) + b"\r\n--")
    found = made({"f": pdf, "m": {"a": Decimal("1.50")}}, multipart={"f": "${with.f}", "m": "${with.m}"})
    file, field = parts(found)
    assert file.get_filename() == "a %22b%22%0D%0A.pdf"
    assert (file.get_content_type(), file.get_payload(decode=True)) == ("application/pdf", pdf.data)
    assert field.get_payload(decode=True) == b'{"a":1.50}'
    assert field.get_filename() is None


def test_a_boundary_is_made_of_the_content():
    """The same bytes at every attempt, and never one that is in them."""
    first, again, other = (made({"a": text}, multipart={"a": "${with.a}"}) for text in ("x", "x", "y"))
    assert first == again
    assert first.content_type != other.content_type
    boundary = first.content_type.partition("=")[2]
    inside = made({"a": "x", "b": boundary}, multipart={"a": "${with.a}", "b": "${with.b}"})
    assert [part.get_payload() for part in parts(inside)] == ["x", boundary]


@given(st.text(min_size=1))
def test_a_path_has_one_segment_for_each_input(value):
    """Whatever it holds: slashes, dots, percents, blanks."""
    assume(value.strip() and value.strip("."))
    path = urlsplit(made({"x": value}, path="/a/{x}/b").url).path
    assert path.isascii()
    assert [unquote(part) for part in path.split("/")] == ["", "v1", "a", value, "b"]


@pytest.mark.parametrize("value", ["", " ", None, ".", "..", "..."])
def test_what_makes_another_path_is_refused(value):
    """Empty or missing: the request would be about something else."""
    with pytest.raises(InputError, match=r"^x: .*stands in the path$"):
        made({"x": value}, path="/a/{x}")


def test_a_query_is_encoded():
    """A list is repeated, an object is JSON, null is left out."""
    found = made({"a": "č&=", "b": ["x", "y"], "c": {"where": {"name": "A"}}, "d": None, "e": 5})
    assert found.url.startswith("https://t.example/v1/?")
    assert parse_qs(urlsplit(found.url).query, strict_parsing=True) == {
        "a": ["č&="],
        "b": ["x", "y"],
        "c": ['{"where":{"name":"A"}}'],
        "e": ["5"],
    }


def test_without_a_body_there_is_no_content_type():
    """Nor is there one for a query."""
    found = made({"x": "1"}, path="/{x}")
    assert (found.body, found.content_type, "Content-Type" in found.headers) == (b"", "", False)


def test_an_action_s_own_headers_stand_over_those_of_the_system():
    """An Accept of its own."""
    found = made({}, headers={"Accept": "application/pdf", "X-Key": "${connection.plain}"})
    assert found.headers == {"Accept": "application/pdf", "X-Key": "open"}


# Secrets


def test_a_masked_request_shows_no_secret():
    """Not in headers, not in the query, quoted or not; what is no secret stays."""
    found = masked(made({"x": "1"}, query={"key": "${connection.key}", "p": "${connection.plain}", "x": "${with.x}"}))
    assert found.headers == {"X-Key": "key ***"}
    assert found.url == "https://t.example/v1/?key=***&p=open&x=1"
    assert "s3cret" not in repr(found)


def test_a_request_does_not_print_its_secrets():
    """Masked or not."""
    assert "s3cret" not in repr(made({}, query={"key": "${connection.key}"}))


def test_a_secret_within_a_secret_is_masked_whole():
    """The longer one first."""
    raw = {
        "title": "T",
        "base_url": "https://t.example",
        "headers": {"A": "${connection.long}", "B": "${connection.short}"},
        "connection": {"long": "secret", "short": "secret"},
        "action": {"a": {"title": "T", "method": "GET", "path": "/", "repeat": "safe"}},
    }
    here = system("t", raw)
    way = connection(here, here.base_url, values={"long": "abc-abcd", "short": "abc"})
    assert masked(build(Call(way, here.actions["a"], {}))).headers == {"A": "***", "B": "***"}


@pytest.mark.parametrize("name", sorted(systems()))
def test_no_shipped_request_shows_a_secret_once_it_is_masked(name):
    """And each needs them in its headers."""
    here = systems()[name]
    way = connection(here, here.base_url)
    for action in here.actions.values():
        request = build(Call(way, action, dict.fromkeys(action.inputs, "x")))
        assert all(any(secret in value for value in request.headers.values()) for secret in VALUES[name].values())
        shown = masked(request)
        assert not any(secret in f"{shown.url}{shown.headers}{shown.body}" for secret in SECRETS)
