"""Values as expressions see them: JSON whose numbers are ``int`` and ``Decimal``, so that 10.10 stays 10.10."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

Value = Any
"""None, a bool, an int, a Decimal, a str, a list, a dict with text keys, or a ``File``."""

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode

NUMBERS = frozenset({int, Decimal})  # asked by type(): a bool is an int to isinstance
_PLAIN_DIGITS = 40  # a number is written without exponent up to so many digits before or after the point


class EvaluationError(Exception):
    """What a record holds does not fit the expression.

    The message names the expression and the cause, never a value of the record.
    """


@dataclass(frozen=True, slots=True)
class File:
    """What a field of kind file holds, or an answer that is no text: it can be passed on, and has no JSON form."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


def read(body: bytes) -> object:
    """The value of a JSON text, decimals exact. Raises ``EvaluationError`` where it is none."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise EvaluationError(f"not readable as JSON: {error}") from error
    except (RecursionError, ArithmeticError) as error:
        raise EvaluationError(f"not readable as JSON: {_REASONS[isinstance(error, RecursionError)]}") from error


def write(value: object) -> bytes:
    """The JSON text of a value, numbers with the digits they were read with.

    Raises ``EvaluationError`` for what has no JSON form.
    """
    try:
        return _encode(_plain(value))
    except UnicodeError:  # half of a pair of surrogates; the error would quote the text
        raise EvaluationError("not writable as JSON: a text is not Unicode") from None
    except (RecursionError, ValueError) as error:
        raise EvaluationError(f"not writable as JSON: {_REASONS[isinstance(error, RecursionError)]}") from None


_REASONS = ("a number has too many digits", "it is nested too deeply")


def _plain(value: Value) -> Value:
    """A value as the encoder takes it, which by itself would write dates, sets and NaN."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is dict and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if kind is list:
        return [_plain(item) for item in value]
    if kind is Decimal and value.is_finite():
        return msgspec.Raw(number(value).encode())
    raise EvaluationError(f"{described(value)} has no JSON form")


def number(value: int | Decimal) -> str:
    """A number in digits: 10.10 as 10.10, 1E-7 as 0.0000001; only one of more than 40 digits keeps an exponent."""
    digits = str(value)
    if "E" in digits and isinstance(value, Decimal) and abs(value.adjusted()) <= _PLAIN_DIGITS:
        return format(value, "f")
    return digits


def text(value: Value) -> str:
    """A value within a longer text: null is nothing, arrays and objects are JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else write(value).decode()


def equal(left: Value, right: Value) -> bool:
    """JSON's equality: true is not 1, and 10.10 is 10.1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(item, right[key]) for key, item in left.items())
    return bool(left == right)


def holds(value: Value) -> bool:
    """JMESPath's truth: null, false and what is empty are not; 0 is."""
    return bool(value) or (value == 0 and value is not False)


_KINDS = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    Decimal: "number",
    str: "string",
    list: "array",
    dict: "object",
    File: "file",
}


def kind(value: Value) -> str:
    """The name of a value's type, as the function ``type`` gives it."""
    return _KINDS.get(type(value), type(value).__name__)


def described(value: Value) -> str:
    """The type of a value in a sentence: ``a string``."""
    name = kind(value)
    return name if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"
