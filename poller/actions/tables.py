"""The tables that a system and its actions are written in, in TOML."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from poller.actions import Repeat
from poller.settings import HttpsUrl, Interval, Strict, Strings

OK = "http.status >= `200` && http.status < `300`"


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError("a name has small letters, digits and _, 64 at most, and begins with a letter")
    return name


def _input_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name):
        raise ValueError("the name of an input has letters, digits and _, 64 at most, and begins with a letter")
    return name


def _path(path: str) -> str:
    if not path.startswith("/") or set(path) & set("?# ") or not path.isascii():
        raise ValueError('should begin with "/", without blanks, query and fragment')
    return path


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


Name = Annotated[str, AfterValidator(_name)]
InputName = Annotated[str, AfterValidator(_input_name)]
Path = Annotated[str, AfterValidator(_path)]
Expression = Annotated[str, Field(min_length=1)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class InputTable(Strict):
    """One row of ``[action.NAME.inputs]``; ``default`` may have holes, of event and step."""

    type: Literal["string", "number", "integer", "boolean", "object", "list", "file"]
    required: bool = False
    default: Any = None
    about: str = ""
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    choices: Strings = ()
    named_by: InputName | None = None
    flat: bool = False
    max_fields: Annotated[int, Field(ge=1)] | None = None
    max_bytes: Annotated[int, Field(ge=1)] | None = None


class AskTable(Strict):
    """``probe``: the cheapest request of a system."""

    method: Literal["GET", "HEAD"] = "GET"
    path: Path
    query: dict[str, Any] = Field(default_factory=dict)


class LookTable(AskTable):
    """``[action.NAME.look]``: how to find what was done; ``match`` has dotted paths within an item for keys."""

    items: Expression
    match: Annotated[dict[str, Any], Field(min_length=1)]
    next: dict[str, Any] = Field(default_factory=dict)


class ActionTable(Strict):
    """``[action.NAME]``: one request. At most one of ``body``, ``form`` and ``multipart``."""

    title: Annotated[str, Field(min_length=1)]
    about: str = ""
    method: Method
    path: Path
    repeat: Annotated[Repeat, Field(strict=False)]
    destructive: bool = False
    writes: Strings = ()
    stamps: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, Any] = Field(default_factory=dict)
    body: Any = None
    form: dict[str, Any] | None = None
    multipart: dict[str, Any] | None = None
    answer: Literal["json", "file"] = "json"
    success: Expression | None = None
    done_when: Expression | None = None
    result: Expression | None = None
    flag: Expression | None = None
    look: LookTable | None = None
    inputs: dict[InputName, InputTable] = Field(default_factory=dict)


class SystemTable(Strict):
    """A whole file, or ``[systems.NAME]``."""

    title: Annotated[str, Field(min_length=1)]
    base_url: HttpsUrl
    rate: Annotated[float, Field(gt=0, le=1000)] = 5.0
    timeout: Annotated[Interval, Field(le=600)] = 30.0
    headers: dict[str, str] = Field(default_factory=dict)
    connection: dict[Name, Literal["secret", "text"]] = Field(default_factory=dict)
    success: Expression = OK
    permanent_when: Expression | None = None
    pause_when: Expression | None = None
    reason: Expression | None = None
    probe: AskTable | None = None
    action: Annotated[dict[Name, ActionTable], Field(min_length=1)]
