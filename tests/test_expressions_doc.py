"""docs/expressions.md: each of its examples gives what it says, its tables are true."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from poller.cli import catalogue
from poller.expression import ExpressionError, condition, read, template, write
from poller.expression.functions import FUNCTIONS
from poller.expression.values import equal
from poller.model import format_time
from poller.samples import sample

TEXT = (Path(__file__).parent.parent / "docs" / "expressions.md").read_text()
CODE = re.compile(r"``(.+?)``(?!`)|`([^`]+)`")


def rows(header):
    """The cells of the table that begins with ``header``."""
    lines = TEXT[TEXT.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def codes(cell):
    return [(double or single).strip() for double, single in CODE.findall(cell)]


def scope():
    """What a route sees of the example update of a document."""
    event = sample("spaceinvoices", *catalogue.TRIGGERS["document.updated"])
    attributes = read(event.body)
    return {
        "data": attributes["data"]["object"],
        "previous": attributes["data"]["previous"],
        "changed": attributes["data"]["changed"],
        "event": {
            "id": event.id,
            "trigger": event.trigger,
            "kind": "updated",
            "resource": event.stream.resource,
            "organization": event.stream.org,
            "record_id": event.record_id,
            "time": attributes["time"],
            "recorded": format_time(event.recorded_ms),
        },
        "steps": None,
    }


SCOPE = scope()
EXAMPLES = re.findall(r"^```jmespath\n(.*?)\n→ (.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)
CALLS = [tuple(codes(cell)) for _, _, cell in rows("function")]


def test_there_are_ten_examples_and_more():
    """None is lost for how it is set."""
    assert len(EXAMPLES) == TEXT.count("→") - len(CALLS) >= 10
    assert len(CALLS) == len(rows("function"))


@pytest.mark.parametrize(("text", "wanted"), [*EXAMPLES, *CALLS])
def test_an_example_gives_what_it_says(text, wanted):
    """To the digit."""
    found = template("${" + text + "}", SCOPE).render(SCOPE)
    assert equal(found, read(wanted.encode()))
    assert write(found) == write(read(wanted.encode()))
    assert isinstance(condition(text, SCOPE).holds(SCOPE), bool)


@pytest.mark.parametrize(("written", "sent"), rows("written"))
def test_a_value_is_sent_as_it_says(written, sent):
    """Types, nulls, braces and dollars."""
    made = template(json.loads(codes(written)[0]), SCOPE)
    assert write(made.render(SCOPE)) == write(read(codes(sent)[0].encode()))


def test_the_variables_are_those_of_a_scope():
    """And the fields of an event are all told."""
    told = {codes(cell)[0]: codes(text) for cell, text in rows("variable")}
    assert told.keys() == SCOPE.keys()
    assert set(SCOPE["event"]) <= set(told["event"])
    assert {"document.updated", "updated", "documents"} <= set(told["event"])


def test_every_function_is_told():
    """And has an example."""
    told = {name for cell, _, _ in rows("function") for name in re.findall(r"(\w+)\(", cell)}
    assert told == FUNCTIONS.keys()
    assert {name for text, _ in CALLS for name in re.findall(r"(\w+)\(", text)} == FUNCTIONS.keys()


def test_the_ways_of_writing_are_good():
    """What stands in the right column of that table is taken, where it is a whole expression."""
    lines = TEXT[TEXT.index("## How it is written") : TEXT.index("## Examples")]
    cells = [code.replace(r"\|", "|") for code in codes(lines) if code.startswith(("data.", "previous."))]
    assert len(cells) >= 9
    assert [text for text in cells if refused(text)] == []


def refused(text):
    try:
        return condition(text, SCOPE) is None
    except ExpressionError:
        return True


def test_the_settings_are_good():
    """The condition and the body at the top."""
    [block] = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    route = tomllib.loads(block)
    assert condition(route["when"], SCOPE).holds(SCOPE)
    body = template(route["body"], SCOPE).render(SCOPE)
    assert body == {"id": SCOPE["data"]["id"], "note": "Invoice 2025-00017: 549.00 EUR"}
