"""Actions as data: what can be done in which system, and what a repeat of it does. One TOML file a system."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from re import Pattern
from types import MappingProxyType
from typing import Literal

from poller.expression import Condition, Template
from poller.expression.evaluation import Expression
from poller.http import Link
from poller.nearest import nearest
from poller.rate import Bucket

Encoding = Literal["json", "form", "multipart"]
NOTHING: Mapping[str, object] = MappingProxyType({})


class Repeat(StrEnum):
    """What doing it twice means, and so what to do when it is not known whether it was done."""

    SAFE = "safe"  # nothing: done again
    FLAG = "flag"  # an input makes the system see that it is the same: done again
    CONFLICT = "conflict"  # the system refuses the second one, which then counts as done: done again
    LOOK = "look"  # a second one: looked for first, and done only where it is not there
    NEVER = "never"  # a second one, which cannot be looked for: left to the operator


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to be said of an action, with its type and what it may be.

    ``named_by`` is the input that names a file. A ``flat`` object holds texts, numbers and booleans only.
    """

    name: str
    type: Literal["string", "number", "integer", "boolean", "object", "list", "file"]
    required: bool = False
    default: Template | None = None
    about: str = ""
    pattern: Pattern[str] | None = None
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    named_by: str | None = None
    flat: bool = False
    max_fields: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that only reads: how a connection is tried."""

    method: str
    path: str
    query: Template | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How to find out whether an action was done: the first of ``items`` that has all values of ``match``.

    ``match`` is by dotted paths in an item, its ``keys``. ``next`` are the parameters that ask for the next page, of
    ``http``; a page for which none has a value is the last.
    """

    ask: Ask
    items: Expression
    match: Template
    keys: frozenset[str]
    next: Template | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a system can do, in one request. ``None`` stands for a rule of the system, or for none.

    ``writes`` are the triggers that it causes in Space Invoices; ``stamps`` are set in its inputs, over whatever
    they say, so that the poller knows its own. ``flag`` holds for inputs with which a repeat is harmless.
    """

    name: str
    title: str
    about: str
    method: str
    path: str
    repeat: Repeat
    inputs: Mapping[str, Input]
    destructive: bool = False
    writes: tuple[str, ...] = ()
    headers: Template | None = None
    query: Template | None = None
    encoding: Encoding | None = None
    body: Template | None = None
    answer: Literal["json", "file"] = "json"
    success: Condition | None = None
    done_when: Condition | None = None
    result: Expression | None = None
    flag: Condition | None = None
    look: Look | None = None
    stamps: Template | None = None


@dataclass(frozen=True, slots=True)
class System:
    """A system that actions are done in. ``rate`` is requests a second of one connection.

    ``connection`` names what a connection has to hold, and whether that is a secret. ``reason`` is what an answer
    says of why it failed.
    """

    name: str
    title: str
    base_url: str
    rate: float
    timeout_s: float
    headers: Template | None
    connection: Mapping[str, Literal["secret", "text"]]
    success: Condition
    permanent_when: Condition | None
    pause_when: Condition | None
    reason: Expression | None
    probe: Ask | None
    actions: Mapping[str, Action]


@dataclass(frozen=True, slots=True)
class Connection:
    """Whose the requests to a system are, and the way there; ``bucket`` is shared by all who use it."""

    name: str
    system: System
    base_url: str
    timeout_s: float
    values: Mapping[str, str] = field(repr=False)
    bucket: Bucket = field(repr=False)
    link: Link = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that nobody may see, the longest first."""
        found = {self.values.get(key, "") for key, kind in self.system.connection.items() if kind == "secret"}
        return tuple(sorted(found - {""}, key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Call:
    """One action, ready to be asked for: ``inputs`` are complete and right."""

    connection: Connection
    action: Action
    inputs: Mapping[str, object] = field(repr=False)


class BadSystem(ValueError):
    """A system's table cannot be used; ``problems`` are lines ``key: what``, and the text is all of them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class UnknownAction(ValueError):
    """No action has this name. The message names the nearest."""


class _Systems(Mapping[str, System]):
    """A configuration's ``own`` systems, then those that are shipped, each read when it is first asked for."""

    def __init__(self, own: Mapping[str, System]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> System:
        if name not in self._own and name not in _shipped_names():
            raise KeyError(name)
        return self._own[name] if name in self._own else _shipped(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*_shipped_names(), *self._own]))

    def __len__(self) -> int:
        return len({*_shipped_names(), *self._own})


@cache
def _shipped_names() -> tuple[str, ...]:
    names = sorted(file.name for file in files(__name__).iterdir())
    return tuple(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@cache
def _shipped(name: str) -> System:
    from poller.actions.reading import system  # noqa: PLC0415 - it makes what is defined here

    try:
        return system(name, tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")))
    except BadSystem as error:
        raise BadSystem([f"actions/{name}.toml: {line}" for line in error.problems]) from error


def systems(own: Mapping[str, System] = MappingProxyType({})) -> Mapping[str, System]:
    """The systems that are shipped, by the names of their files, and ``own`` ones over them.

    One that cannot be read raises ``BadSystem`` when it is asked for.
    """
    return _Systems(own)


def find(do: str, known: Mapping[str, System]) -> tuple[System, Action]:
    """The action of a name such as ``coupontools.send_coupon_by_email``, or a title such as "Send Coupon by Email".

    A title that two systems have is written with the system's name or title before it: ``mine.Create Client``.
    Raises ``UnknownAction``.
    """
    system_name, _, action_name = do.partition(".")
    if system_name in known and action_name in known[system_name].actions:
        return known[system_name], known[system_name].actions[action_name]
    spoken = [(system, action, names) for system, action, names in _names(known) if do.casefold() in names]
    if len(spoken) > 1:
        choices = " or ".join(f'"{system.name}.{action.name}"' for system, action, _ in spoken)
        raise UnknownAction(f'"{do}" is the title of more than one action: write {choices}')
    if not spoken:
        every = [name for system, action, _ in _names(known) for name in (f"{system.name}.{action.name}", action.title)]
        raise UnknownAction(f'there is no action "{do}"' + nearest(do, every))
    return spoken[0][0], spoken[0][1]


def _names(known: Mapping[str, System]) -> Iterator[tuple[System, Action, set[str]]]:
    for system in known.values():
        for action in system.actions.values():
            owners, own = (system.name, system.title), (action.name, action.title)
            names = {f"{owner}.{name}" for owner in owners for name in own} | {action.title}
            yield system, action, {name.casefold() for name in names}
