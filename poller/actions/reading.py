"""A system's table, checked and compiled: what is wrong with it is told by key and column."""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from poller.actions import Action, Ask, BadSystem, Encoding, Input, Look, Repeat, System
from poller.actions.tables import OK, ActionTable, AskTable, InputTable, LookTable, SystemTable
from poller.expression import Condition, ExpressionError, Template, condition, template
from poller.expression.evaluation import Expression, expression
from poller.nearest import nearest
from poller.problems import problems

BEFORE = frozenset({"event", "step"})
ASKED = frozenset({"with", "connection"})  # headers and query: nothing else sees a connection's secrets
SAID = frozenset({"with"})
ANSWERED = frozenset({"http", "with"})

TAKEN = {"system", "base_url", "rate", "timeout", "allow_private"}
"""What every connection can be told."""

_OK = condition(OK, ANSWERED)
_HOLE = re.compile(r"\{([^{}]*)\}")
_WITH = re.compile(r"\bwith\.([A-Za-z_]\w*)")
_CONNECTION = re.compile(r"\bconnection\.([A-Za-z_]\w*)(?=[^{}]*\})")


def system(name: str, raw: Mapping[str, Any], at: str = "") -> System:
    """Make the system that a table is; ``at`` is its key. Raises ``BadSystem`` with all that is wrong."""
    try:
        table = SystemTable.model_validate(raw)
    except ValidationError as error:
        raise BadSystem(list(problems(error, SystemTable, raw, at))) from None
    reading, within = _Reading(), f"{at}." if at else ""
    made = reading.system(name, table, within)
    for key in sorted(TAKEN & set(table.connection)):
        reading.found.append(f"{within}connection.{key}: every connection has a key of this name already")
    reading.found += _unheld(table, within)
    for key, action in table.action.items():
        reading.found += _contradictions(action, f"{within}action.{key}")
    if reading.found:
        raise BadSystem(reading.found)
    return made


class _Reading:
    """Makes the values of one table; what is wrong with its expressions is ``found``: ``key: column N: what``."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def system(self, name: str, table: SystemTable, at: str) -> System:
        return System(
            name=name,
            title=table.title,
            base_url=table.base_url,
            rate=table.rate,
            timeout_s=table.timeout,
            headers=self._template(f"{at}headers", table.headers, ASKED),
            connection=MappingProxyType(table.connection),
            success=self._condition(f"{at}success", table.success, ANSWERED) or _OK,
            permanent_when=self._condition(f"{at}permanent_when", table.permanent_when, ANSWERED),
            pause_when=self._condition(f"{at}pause_when", table.pause_when, ANSWERED),
            reason=self._value(f"{at}reason", table.reason, ANSWERED),
            probe=None if table.probe is None else self._ask(f"{at}probe", table.probe),
            actions=MappingProxyType(
                {key: self._action(f"{at}action.{key}", key, action) for key, action in table.action.items()}
            ),
        )

    def _action(self, at: str, name: str, table: ActionTable) -> Action:
        encoding, body = _body(table)
        return Action(
            name=name,
            title=table.title,
            about=table.about,
            method=table.method,
            path=table.path,
            repeat=table.repeat,
            inputs=MappingProxyType(
                {key: self._input(f"{at}.inputs.{key}", key, row) for key, row in table.inputs.items()}
            ),
            destructive=table.destructive,
            writes=table.writes,
            headers=self._template(f"{at}.headers", table.headers, ASKED),
            query=self._template(f"{at}.query", table.query, ASKED),
            encoding=encoding,
            body=self._template(f"{at}.{_KEYS[encoding]}", body, SAID) if encoding else None,
            answer=table.answer,
            success=self._condition(f"{at}.success", table.success, ANSWERED),
            done_when=self._condition(f"{at}.done_when", table.done_when, ANSWERED),
            result=self._value(f"{at}.result", table.result, ANSWERED),
            flag=self._condition(f"{at}.flag", table.flag, SAID),
            look=None if table.look is None else self._look(f"{at}.look", table.look),
            stamps=self._template(f"{at}.stamps", table.stamps, BEFORE),
        )

    def _input(self, at: str, name: str, table: InputTable) -> Input:
        return Input(
            name=name,
            type=table.type,
            required=table.required,
            default=self._template(f"{at}.default", table.default, BEFORE),
            about=table.about,
            pattern=None if table.pattern is None else re.compile(table.pattern),
            max_length=table.max_length,
            choices=table.choices,
            named_by=table.named_by,
            flat=table.flat,
            max_fields=table.max_fields,
            max_bytes=table.max_bytes,
        )

    def _ask(self, at: str, table: AskTable) -> Ask:
        return Ask(table.method, table.path, self._template(f"{at}.query", table.query, ASKED))

    def _look(self, at: str, table: LookTable) -> Look | None:
        items = self._value(f"{at}.items", table.items, ANSWERED)
        match = self._template(f"{at}.match", table.match, SAID)
        following = self._template(f"{at}.next", table.next, ANSWERED)
        if items is None or match is None:
            return None
        return Look(self._ask(at, table), items, match, frozenset(table.match), following)

    def _condition(self, at: str, text: str | None, variables: Collection[str]) -> Condition | None:
        if text is None:
            return None
        try:
            return condition(text, variables)
        except ExpressionError as error:
            self._wrong(at, error)
            return None

    def _value(self, at: str, text: str | None, variables: Collection[str]) -> Expression | None:
        if text is None:
            return None
        try:
            return expression(text, variables)
        except ExpressionError as error:
            self._wrong(at, error)
            return None

    def _template(self, at: str, value: object, variables: Collection[str]) -> Template | None:
        """A value with holes; None where there is none."""
        if value is None or value == {}:
            return None
        try:
            return template(value, variables)
        except ExpressionError as error:
            self._wrong(".".join([at, *map(str, error.keys)]), error)
            return None

    def _wrong(self, at: str, error: ExpressionError) -> None:
        self.found.append(f"{at}: column {error.column}: {error}")


_KEYS: Mapping[Encoding, str] = {"json": "body", "form": "form", "multipart": "multipart"}


def _body(table: ActionTable) -> tuple[Encoding | None, object]:
    for encoding, key in _KEYS.items():
        if (value := getattr(table, key)) is not None:
            return encoding, value
    return None, None


def _texts(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a value, with its key."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{at}.{place}")


def _unheld(table: SystemTable, at: str) -> Iterator[str]:
    """What is asked of a connection that none holds."""
    parts: dict[str, Any] = {"headers": table.headers, "probe.query": table.probe and table.probe.query}
    for name, action in table.action.items():
        parts |= {f"action.{name}.headers": action.headers, f"action.{name}.query": action.query}
        parts[f"action.{name}.look.query"] = action.look and action.look.query
    for part, value in parts.items():
        for key, text in _texts(value, f"{at}{part}"):
            for name in _CONNECTION.findall(text):
                if name not in table.connection:
                    yield f'{key}: a connection holds no "{name}"' + nearest(name, list(table.connection))


def _contradictions(table: ActionTable, at: str) -> Iterator[str]:
    """What is right by itself, but not together."""
    if sum(getattr(table, key) is not None for key in _KEYS.values()) > 1:
        yield f"{at}: should have one of body, form and multipart"
    for repeat, key in {Repeat.FLAG: "flag", Repeat.CONFLICT: "done_when", Repeat.LOOK: "look"}.items():
        if table.repeat == repeat and getattr(table, key) is None:
            yield f'{at}.{key}: is missing: repeat is "{repeat}"'
        elif table.repeat != repeat and key != "done_when" and getattr(table, key) is not None:
            yield f'{at}.{key}: does nothing unless repeat = "{repeat}"'
    if table.writes and not table.stamps:
        yield f"{at}.stamps: is missing: by them the poller knows the records that it made itself"
    used = {key: set(names) for key, names in _used(table, at)}
    for key, names in used.items():
        for name in sorted(names - set(table.inputs)):
            yield f'{key}: there is no input "{name}"' + nearest(name, list(table.inputs))
    every = set().union(*used.values(), table.stamps)
    yield from (f"{at}.inputs.{name}: is used nowhere" for name in table.inputs if name not in every)


def _used(table: ActionTable, at: str) -> Iterator[tuple[str, list[str]]]:
    """The inputs that each part of an action speaks of, by its key."""
    look = table.look
    yield f"{at}.path", _HOLE.findall(table.path)
    parts = {key: getattr(table, key) for key in (*_KEYS.values(), "query", "headers", "success", "done_when", "flag")}
    parts |= {"result": table.result, "look": look and look.model_dump()}
    if look is not None:
        yield f"{at}.look.path", _HOLE.findall(look.path)
    for part, value in parts.items():
        for key, text in _texts(value, f"{at}.{part}"):
            yield key, _WITH.findall(text)
    yield from ((f"{at}.inputs.{key}.named_by", [row.named_by]) for key, row in table.inputs.items() if row.named_by)
