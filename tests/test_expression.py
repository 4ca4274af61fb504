"""Conditions and templates: what they give, what is refused, and that no failure is silent or tells a value."""

import json
import traceback
from decimal import Decimal

import pytest
from expressions import BAD, EVENT, TABLE, VARIABLES, scope
from hypothesis import example, given
from hypothesis import strategies as st

from poller.expression import (
    Condition,
    EvaluationError,
    ExpressionError,
    File,
    condition,
    read,
    template,
    write,
)


def value(text, record="documents"):
    return template("${" + text + "}", VARIABLES).render(scope(record))


@pytest.mark.parametrize(("record", "text", "wanted"), TABLE, ids=[row[1] for row in TABLE])
def test_an_expression_gives(record, text, wanted):
    """To the digit."""
    assert write(value(text, record)).decode() == wanted


@pytest.mark.parametrize(("record", "text", "wanted"), TABLE, ids=[row[1] for row in TABLE])
def test_a_condition_holds_by_the_truth_of_its_value(record, text, wanted):
    """Null, false and what is empty do not hold; 0 does."""
    holds = wanted not in ("null", "false", '""', "[]", "{}")
    assert condition(text, VARIABLES).holds(scope(record)) is holds


def test_a_condition_is_its_text():
    """So that it can stand in frozen values."""
    first, second = condition("data.draft", VARIABLES), condition("data.draft", ("data",))
    assert isinstance(first, Condition)
    assert {first, second} == {second}
    assert first != condition("data.paid", VARIABLES)
    assert first.text == "data.draft"


# Refused when it is compiled.


@pytest.mark.parametrize(("text", "column", "message"), BAD, ids=[repr(row[0][:40]) for row in BAD])
def test_a_bad_expression_is_refused(text, column, message):
    """With its column and a hint; in a template the column is that in the whole string."""
    with pytest.raises(ExpressionError) as refused:
        condition(text, VARIABLES)
    assert message in str(refused.value)
    assert refused.value.column == column
    if "}" not in text.replace("}]", "") and text.count("'") % 2 == 0:
        with pytest.raises(ExpressionError) as refused:
            template({"a": ["é: ${" + text + "}"]}, VARIABLES)
        assert (refused.value.column, refused.value.keys) == (column + 5, ("a", 0))


@pytest.mark.parametrize("name", ["data", "event"])
@pytest.mark.parametrize("text", [row[1] for row in TABLE])
def test_every_variable_is_found_with_its_column(text, name):
    """Wherever in the expression one is read."""
    known = set(VARIABLES) - {name}
    if name not in template("${" + text + "}", VARIABLES).names():
        assert condition(text, known)
        return
    with pytest.raises(ExpressionError) as refused:
        condition(text, known)
    assert text[refused.value.column - 1 :].startswith(name if name in text else "now")


def test_only_what_is_declared_is_a_variable():
    """The same expression is good where there are connections, and bad where there are none."""
    assert condition("connection.client_id", ("connection", "with"))
    with pytest.raises(ExpressionError, match='unknown variable "connection"'):
        condition("connection.client_id", VARIABLES)


# What an expression reads.


@pytest.mark.parametrize(
    ("text", "path", "mentioned"),
    [
        ("data.custom.origin != 'poller'", "custom.origin", True),
        ("data.custom.origin != 'poller'", "data.custom.origin", True),
        ("data.custom | origin", "custom.origin", True),
        ("data.custom.[origin]", "custom.origin", True),
        ("(data.custom || data.custom).origin", "custom.origin", True),
        ("data._items[?custom.origin == 'x'].id", "_items.custom.origin", True),
        ("data._items[?custom.origin == 'x'].id", "_items.id", True),
        ("data.*.origin", "data.origin", True),
        ("data._items[?id].custom | [0].origin", "_items.custom.origin", True),
        ("sort_by(data._items, &custom.origin)", "custom.origin", True),
        ("map(&custom.origin, data._items)", "custom.origin", True),
        ("default(data, previous).custom.origin", "custom.origin", True),
        ("data.custom.origins", "custom.origin", False),
        ("data.my_custom.origin", "custom.origin", False),
        ("data.origin.custom", "custom.origin", False),
        ("data.a == 'custom.origin'", "custom.origin", False),
        ('data."custom.origin"', "custom.origin", False),
    ],
)
def test_a_path_that_is_read_is_known(text, path, mentioned):
    """By its end, through pipes, filters and projections."""
    assert condition(text, VARIABLES).mentions(path) is mentioned
    assert template({"a": ["x ${" + text + "}"]}, VARIABLES).mentions(path) is mentioned


def test_the_variables_that_a_template_reads_are_known():
    """Those of all of its holes; a field of an item is none."""
    value = {"a": "${data.x}", "b": ["${steps.pdf} and ${now()}", 5], "c": "${data._items[?previous == 'x'].changed}"}
    value |= {"d": "${default(data.x, data.y).z}"}
    assert template(value, VARIABLES).names() == {"data", "steps", "event"}
    assert template({"a": "plain"}, VARIABLES).names() == frozenset()


# Failures when it runs.

SECRET = "s3cret-value"
SECRETS = read(
    b"""{"text": "s3cret-value", "number": 733111.5, "list": ["s3cret-value", 733111],
        "object": {"s3cret-value": 733111}, "items": [{"a": 733111}, {"a": "s3cret-value"}],
        "on": true, "huge": 733111e999999999, "date": "2025-02-30"}"""
)
FAILING = [  # an expression and the cause in the message
    ("data.text > data.number", "a string cannot be compared with a number"),
    ("data.list < `1`", "an array cannot be compared with a number"),
    ("data.on >= data.on", "a boolean cannot be compared with a boolean"),
    ("data.object > data.text", "an object cannot be compared with a string"),
    ("data.items[?a > `5`]", "a string cannot be compared with a number"),
    ("lower(data.number)", "lower() takes a string, not a number"),
    ("lower(data.missing)", "lower() takes a string, not null"),
    ("upper(data.list)", "upper() takes a string, not an array"),
    ("contains(data.text, data.number)", "contains() looks for a string in a string, not for a number"),
    ("contains(data.missing, 'x')", "contains() takes a string or an array, not null"),
    ("length(data.on)", "length() takes a string, an array or an object, not a boolean"),
    ("sum(data.list)", "sum() takes an array of numbers, and not all items are that"),
    ("avg(data.text)", "avg() takes an array of numbers, not a string"),
    ("max(data.list)", "max() takes an array of numbers or of strings, and not all items are that"),
    ("sort(data.list)", "sort() takes an array of numbers or of strings, and not all items are that"),
    ("join('', data.list)", "join() takes an array of strings, and not all items are that"),
    ("sort_by(data.items, &a)", "ordered by numbers or by strings"),
    ("max_by(data.items, &missing)", "ordered by numbers or by strings"),
    ("keys(data.text)", "keys() takes an object, not a string"),
    ("merge(data.object, data.missing)", "merge() takes an object, not null"),
    ("abs(data.text)", "abs() takes a number, not a string"),
    ("round(data.text, `2`)", "round() takes a number, not a string"),
    ("round(data.number, data.number)", "round() takes 0 to 28 as its number of decimal places"),
    ("round(data.number, `1.5`)", "round() takes 0 to 28 as its number of decimal places"),
    ("round(data.number, data.huge)", "round() takes 0 to 28 as its number of decimal places"),
    ("round(data.huge, `2`)", "a number is too large or has too many digits"),
    ("ceil(data.huge)", "a number is too large or has too many digits"),
    ("sum([data.huge, `1`])", "a number is too large or has too many digits"),
    ("date_before(data.text, now())", "date_before() takes dates such as"),
    ("date_before(data.date, now())", "date_before() takes dates such as"),
    ("date_before(data.missing, now())", "date_before() takes a string, not null"),
    ("to_string(data.file)", "a file has no JSON form"),
    ("lower(data.file)", "lower() takes a string, not a file"),
]


@pytest.mark.parametrize(("text", "cause"), FAILING, ids=[row[0] for row in FAILING])
def test_a_failure_names_the_expression_and_the_cause_and_no_value(text, cause):
    """Not even in a traceback's chain of errors."""
    file = File(SECRET, "text/plain", SECRET.encode())
    asked = {"event": EVENT, "data": SECRETS | {"file": file}}
    with pytest.raises(EvaluationError) as failed:
        condition(text, VARIABLES).holds(asked)
    assert str(failed.value).startswith(f"{text}: ")
    assert cause in str(failed.value)
    told = "".join(traceback.format_exception(failed.value))
    assert SECRET not in told
    assert "733111" not in told
    for whole in ("${" + text + "}", "x ${" + text + "}"):
        with pytest.raises(EvaluationError) as failed:
            template([{"a": whole}], VARIABLES).render(asked)
        assert str(failed.value).startswith(f"{text}: ")


def test_a_record_that_is_nested_without_end_is_a_failure():
    """Not the end of the process."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(EvaluationError, match="nested too deeply"):
        condition("data.a == data.b", VARIABLES).holds({"data": {"a": deep, "b": [deep[0]]}})
    with pytest.raises(EvaluationError, match="nested too deeply"):
        template("x ${data}", VARIABLES).render({"data": deep})
    with pytest.raises(EvaluationError, match="nested too deeply"):
        read(b"[" * 100_000)


def test_now_is_known_only_of_an_event():
    """And never the time at which it is asked."""
    with pytest.raises(EvaluationError, match=r"now\(\): now\(\) is not known here"):
        condition("now()", VARIABLES).holds({"data": {}})


def test_a_long_expression_is_told_in_part():
    """A log line is no place for 4,096 characters."""
    text = " || ".join(["lower(data.missing)"] * 100)
    with pytest.raises(EvaluationError) as failed:
        condition(text, VARIABLES).holds({})
    assert len(str(failed.value)) < 300


# Templates.

FILE = File("a.pdf", "application/pdf", b"%PDF")
FILLED = [  # a template and what it gives for the odd record; None for null
    ("plain", "plain"),
    ("", ""),
    (5, 5),
    (10.5, Decimal("10.5")),
    (True, True),
    (None, None),
    ("${data.price}", Decimal("10.10")),
    ("${ data.price }", Decimal("10.10")),
    ("${data.yes}", True),
    ("${data.tags}", ["b", "a", "č"]),
    ("${data.none}", None),
    ("${data.none} ", " "),
    ("${data.price}${data.one}", "10.101"),
    ("a ${data.price} b ${data.one} c", "a 10.10 b 1 c"),
    ("${data.yes}/${data.none}/${data.vide}/${data.zero}", "true///0"),
    ("Žiga: ${data.name}!", "Žiga: Žiga Šuštar 🚚!"),
    ("x ${data.tags}", 'x ["b","a","č"]'),
    ("x ${data.lists}", "x [[1,2.50],[],[3,[4]]]"),
    ("x ${data.small}, ${data.tiny}", "x 0.0000001, 0.0000001"),
    ("$${data.price}", "${data.price}"),
    ("$$${data.price}", "$${data.price}"),
    ("a $${ b ${data.one}", "a ${ b 1"),
    ("${'$'}${data.price}", "$10.10"),
    ("$5 {x} } $", "$5 {x} } $"),
    ("${'}'}", "}"),
    (r"${'\'}'}", "'}"),
    ('${data."my-key"."a.b"}', 7),
    ('${data."}" || `"{"`}', "{"),
    ("${{a: data.one, b: '}'}}", {"a": 1, "b": "}"}),
    ("x ${{a: {b: data.one}}} y", 'x {"a":{"b":1}} y'),
    ("${steps.file}", FILE),
    ({"file": "${steps.file}"}, {"file": FILE}),
    ({"a": "${data.none}", "b": "${data.zero}", "c": None}, {"b": 0, "c": None}),
    ({"a": {"b": "${data.none}"}}, {"a": {}}),
    ({"a": "x${data.none}", "b": "${data.vide}"}, {"a": "x", "b": ""}),
    ({"a": "${{x: data.none}}"}, {"a": {"x": None}}),
    (["${data.none}", "a", None, "${data.one}"], ["a", None, 1]),
    ({"a": [{"b": ["${data.price}", 2, 2.50]}]}, {"a": [{"b": [Decimal("10.10"), 2, Decimal("2.5")]}]}),
]


@pytest.mark.parametrize(("source", "wanted"), FILLED, ids=[repr(row[0]) for row in FILLED])
def test_a_template_is_filled(source, wanted):
    """Types are kept in whole holes, nulls drop their keys, and the rest stays as it is written."""
    made = template(source, VARIABLES)
    found = made.render(scope("odd") | {"steps": {"file": FILE}})
    assert made.source == source
    assert found == wanted
    assert type(found) is type(wanted)
    if type(wanted) is Decimal:
        assert str(found) == str(wanted)


def test_a_file_is_no_text():
    """It may be passed on, not pasted."""
    with pytest.raises(EvaluationError, match=r"steps\.file: a file has no JSON form"):
        template("see ${steps.file}", VARIABLES).render({"steps": {"file": FILE}})
    assert repr(FILE) == "File(name='a.pdf', content_type='application/pdf')"


@pytest.mark.parametrize(
    ("source", "column", "keys", "message"),
    [
        ("${data.x", 1, (), "never closed"),
        ("ab ${data.x} ${data.y", 14, (), "never closed"),
        ("${data.x == '}", 13, (), "unclosed '"),
        ("${data.{a: b}", 1, (), "never closed"),
        ("${}", 3, (), "is empty"),
        ("ab ${ dta.x }", 7, (), 'did you mean "data"'),
        ({"a": [1, {"b": "x${data.x =}"}]}, 11, ("a", 1, "b"), "=="),
        ({"a": {"${data.x}": 1}}, 1, ("a", "${data.x}"), "a key is taken as it stands"),
        ({"a": [float("nan")]}, 1, ("a", 0), "no JSON form"),
        ({"a": {1, 2}}, 1, ("a",), "no JSON form"),
        ({"a": {5: 1}}, 1, ("a", "5"), "a key is taken as it stands"),
    ],
)
def test_a_bad_template_is_refused(source, column, keys, message):
    """With the keys that lead to the string, and the column in it."""
    with pytest.raises(ExpressionError) as refused:
        template(source, VARIABLES)
    assert message in str(refused.value)
    assert (refused.value.column, refused.value.keys) == (column, keys)


# Reading and writing.

texts = st.text(st.characters(exclude_categories=["Cs"]))
decimals = st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: Decimal(str(number)))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | decimals | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
plain_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?", fullmatch=True)


@given(plain_numbers)
@example("10.10")
@example("0.0000001")
@example("-0.0")
@example("123456789012345678901234567890.10")
def test_a_number_is_written_as_it_was_read(text):
    """By JSON, by a template, and within a text."""
    wanted = "0" if text == "-0" else text
    record = {"data": read(text.encode())}
    assert write(record["data"]).decode() == wanted
    assert write(template(["${data}"], VARIABLES).render(record)).decode() == f"[{wanted}]"
    assert template("n: ${data}", VARIABLES).render(record) == f"n: {wanted}"


@pytest.mark.parametrize(
    ("read_as", "written"),
    [("1e2", "100"), ("1.50e1", "15.0"), ("1e40", "1" + "0" * 40), ("1e41", "1E+41"), ("-1e-41", "-1E-41")],
)
def test_an_exponent_is_written_out(read_as, written):
    """But not to any length: 1e999999999 would fill the memory."""
    assert write(read(read_as.encode())).decode() == written
    assert template("n: ${data}", VARIABLES).render({"data": read(read_as.encode())}) == f"n: {written}"


@given(values)
def test_what_is_written_reads_the_same(value):
    """Numerically: an exponent is written out."""
    assert read(write(value)) == value


@given(values)
def test_a_rendering_is_always_the_same(value):
    """To the byte, and equal to that of a template compiled anew."""
    source = {"a": "${data}", "b": ["x ${data}", "${to_string(data)}"], "c": "${[data, data]}"}
    once = template(source, VARIABLES)
    first = write(once.render({"data": value}))
    assert write(once.render({"data": value})) == first
    assert write(template(json.loads(json.dumps(source)), VARIABLES).render({"data": value})) == first


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b"[1,]", b'"\xff"', rb'"\ud800"', b"1e99999999999999999999", b"9" * 5000, b"[" * 100_000],
)
def test_what_is_no_json_is_a_failure(body):
    """That the caller can tell from others."""
    with pytest.raises(EvaluationError, match="not readable as JSON"):
        read(body)


@pytest.mark.parametrize(
    "value",
    [FILE, {"a": [FILE]}, Decimal("NaN"), float("inf"), {1: 2}, {1, 2}, b"x", "\ud800", 10**5000, EVENT.items()],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_a_failure(value):
    """Nothing is written in some form that no one chose."""
    with pytest.raises(EvaluationError):
        write(value)
