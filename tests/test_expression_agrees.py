"""Our evaluation agrees with jmespath's own, on documents and expressions that Hypothesis makes up."""

import json
import string
from functools import partial

import jmespath
import pytest
from expressions import BAD, TABLE, VARIABLES, scope
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from poller.expression import EvaluationError, ExpressionError, condition, template
from poller.expression.functions import FUNCTIONS
from poller.expression.syntax import Parser
from poller.expression.values import equal

NAMES = st.sampled_from(["a", "b", "c", '"a b"'])
SCALARS = st.none() | st.booleans() | st.integers(2, 9) | st.sampled_from(["", "x", "xy", "7", "a b"])
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c", "a b"]), inner),
    max_leaves=12,
)
LITERALS = SCALARS.map(json.dumps).map("`{}`".format) | st.sampled_from(["'x'", "`[2, 3]`", '`{"a": 2}`'])
SHAPES = [  # each hole is an expression; merge() has one, for jmespath looks at the type of its first only
    *(
        "({}).a",
        '({})."a b"',
        "({})[0]",
        "({})[-1]",
        "({})[*]",
        "({})[*].a",
        "({})[]",
        "({})[].b",
        "({})[1:]",
        "({})[::-1]",
    ),
    *(
        "({}).*",
        "({}).*.a",
        "({})[?a]",
        "({})[?{}]",
        "({})[?{}].b",
        "({}).[{}, {}]",
        "({}).{{a: {}, x: {}}}",
        "{} | {}",
    ),
    *("!({})", "({}) || ({})", "({}) && ({})", "({}) == ({})", "({}) != ({})", "({}) < ({})", "({}) >= ({})"),
    *("length({})", "type({})", "to_array({})", "not_null({}, {})", "keys({})", "values({})", "merge({})"),
    *(
        "contains({}, {})",
        "starts_with({}, {})",
        "join({}, {})",
        "reverse({})",
        "sort({})",
        "max({})",
        "min({})",
        "sum({})",
    ),
    *("to_string({})", "abs({})", "map(&{}, {})", "sort_by({}, &{})", "max_by({}, &{})", "min_by({}, &{})"),
]


@st.composite
def larger(draw, inner):
    shape = draw(st.sampled_from(SHAPES))
    return shape.format(*(draw(inner) for _ in range(shape.replace("{{", "").count("{"))))


EXPRESSIONS = st.recursive(NAMES | LITERALS | st.just("@"), larger, max_leaves=8)


class Interpreter(TreeInterpreter):
    """jmespath's, but that what has no order is a failure: to it the answer is null, or a TypeError for strings."""

    def visit_comparator(self, node, value):
        if node["value"] not in self._EQUALITY_OPS:
            sides = [self.visit(child, value) for child in node["children"]]
            if None not in sides and any(isinstance(side, list | dict | bool) for side in sides):
                raise TypeError
        return super().visit_comparator(node, value)


def outcome(run, *failures):
    try:
        return run(), None
    except failures as error:
        return None, error


@settings(max_examples=500)
@given(DOCUMENTS, EXPRESSIONS)
def test_ours_gives_what_jmespath_gives(document, text):
    """The same value, or a failure where that fails."""
    whole = f"doc | {text}"
    ours, refused = outcome(partial(template, "${" + whole + "}", ["doc"]), ExpressionError)
    assume(refused is None)  # for too much growth, or a field of true
    theirs = partial(Interpreter().visit, Parser().parse(whole).parsed)
    found, failure = outcome(partial(ours.render, {"doc": document}), EvaluationError)
    wanted, their_failure = outcome(partial(theirs, {"doc": document}), JMESPathError, TypeError)
    assert (failure is None) == (their_failure is None), (failure, their_failure)
    assert equal(found, wanted)


def test_the_made_up_expressions_are_mostly_good():
    """And most of them run, so that the test above compares something."""
    documents = [{"a": [{"a": 2, "b": "x"}, {"a": 3}], "b": [2, 5], "c": "xy"}, [{"a": "x"}, {"b": [3]}], "xy", [3, 2]]
    counts = {"good": 0, "given": 0}

    @settings(max_examples=300, derandomize=True, database=None)
    @given(EXPRESSIONS)
    def count(text):
        made, refused = outcome(partial(template, "${doc | " + text + "}", ["doc"]), ExpressionError)
        if refused:
            return
        counts["good"] += 1
        counts["given"] += any(outcome(partial(made.render, {"doc": one}), EvaluationError)[0] for one in documents)

    count()
    assert counts["good"] > 150
    assert counts["given"] > 30


def test_every_function_of_jmespath_is_there():
    """Under its name, taking as many arguments."""
    theirs = TreeInterpreter()._functions.FUNCTION_TABLE
    assert theirs.keys() <= FUNCTIONS.keys()
    assert FUNCTIONS.keys() - theirs.keys() == {"date_before", "default", "lower", "now", "round", "upper"}
    for name, row in theirs.items():
        variadic = bool(row["signature"][-1].get("variadic"))
        assert (len(row["signature"]), variadic) == (len(FUNCTIONS[name].parameters), FUNCTIONS[name].variadic), name


@pytest.mark.parametrize("zero_or_one", ["`0`", "`1`", "`0.0`", "`1.0`"])
@pytest.mark.parametrize("truth", ["`true`", "`false`"])
def test_a_number_is_never_true_or_false(zero_or_one, truth):
    """Alone, and within arrays and objects, where jmespath's are."""
    for form in ("{}", "[{}]", "{{a: [{}]}}"):
        assert not condition(f"{form.format(zero_or_one)} == {form.format(truth)}", ()).holds({})


def test_what_jmespath_read_before_is_not_taken_from_its_memory():
    """It keeps trees by their text, and reads ``!`` otherwise."""
    assert jmespath.search("!data.before", {"data": {"before": False}}) is None
    assert condition("!data.before", VARIABLES).holds({"data": {"before": False}})


# What is read at all.

CHARACTERS = st.text(st.sampled_from("abdt. \n[]{}()?*&|!=<>@,:'\"`\\019-#ž" + string.ascii_lowercase), max_size=40)
GOOD = [text for _, text, _ in TABLE]
PARTS = [
    "data",
    ".",
    "[",
    "]",
    "(",
    ")",
    "?",
    "||",
    "&&",
    "|",
    "'",
    '"',
    "`",
    "\\",
    "{",
    "}",
    ":",
    ",",
    "0",
    "&",
    "@",
    "*",
]


@st.composite
def damaged(draw):
    """A good expression with some of its characters gone, doubled or replaced."""
    text = draw(st.sampled_from(GOOD + [row[0] for row in BAD if len(row[0]) < 100]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(PARTS)) + text[at + draw(st.integers(0, 3)) :]
    return text


@settings(max_examples=500)
@given(damaged() | CHARACTERS)
def test_whatever_is_written_is_good_or_refused(text):
    """With a column that is within it, or just behind; what is good gives a value or a failure."""
    made, refused = outcome(partial(condition, text, VARIABLES), ExpressionError)
    if refused:
        assert 1 <= refused.column <= len(text) + 1
        return
    assert outcome(partial(made.holds, scope("odd")), EvaluationError)


@settings(max_examples=300)
@given(st.text(st.sampled_from("${}'\"`data.x |\\"), max_size=30))
def test_whatever_stands_in_a_template_is_good_or_refused(text):
    """And what has no hole is the text itself."""
    made, refused = outcome(partial(template, text, VARIABLES), ExpressionError)
    if refused:
        assert 1 <= refused.column <= len(text) + 1
        return
    if "${" not in text:
        assert made.render({}) == text
    assert outcome(partial(made.render, scope("odd")), EvaluationError)
