"""LoopBack filters: read from a query string, and judged against records. Pure.

The quirks are LoopBack's own: only one operator of a property counts, operands are coerced to the
property's type, and a date that cannot be read is a server error.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from poller.simulator.resources import Json

Test = Callable[[Mapping[str, Json]], bool]
"""Says whether a record matches."""

Order = tuple[tuple[str, bool], ...]
"""Properties to sort by, each with whether it descends."""

DATES = frozenset(
    {
        "activatedAt",
        "activeFrom",
        "activeTo",
        "cancelledAt",
        "completedAt",
        "createdAt",
        "date",
        "dateDue",
        "dateFirst",
        "datePaid",
        "dateReceived",
        "dateService",
        "dateServiceTo",
        "dateValidTill",
        "deactivatedAt",
        "deletedAt",
        "fulfilledAt",
        "issuedAt",
        "paidAt",
        "refundedAt",
        "updatedAt",
    }
)
"""The properties that hold a date-time."""

_BRACKETS = re.compile(r"\[([^\]]*)\]")


class BadFilter(Exception):
    """A filter that the API answers with an error: ``status`` 400, or 500 for an unreadable date."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Filter:
    """What a listing asks for; ``fields`` is as sent."""

    where: Mapping[str, Json]
    order: Order
    limit: int
    skip: int = 0
    fields: Json = None
    deleted: bool = False


def parameter(params: Iterable[tuple[str, str]], name: str) -> dict[str, Json] | None:
    """The object sent as ``name={...}`` or as ``name[key]=value``; None where neither was sent.

    In the bracket form every value stays a string, as with LoopBack.
    """
    found: dict[str, Json] | None = None
    for key, value in params:
        if key == name:
            found = _parsed(name, value)
        elif key.startswith(f"{name}["):
            found = found if found is not None else {}
            _place(found, _BRACKETS.findall(key), value)
    return found


def _parsed(name: str, text: str) -> dict[str, Json] | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, dict):
        raise BadFilter(400, f"Value is not an object: {name}")
    return value


def _place(tree: dict[str, Json], path: list[str], value: str) -> None:
    *parents, last = path
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[last] = value


def read(sent: Mapping[str, Json] | None, cap: int) -> Filter:
    """A listing's filter as sent, with the API's defaults; raises ``BadFilter``."""
    sent = sent or {}
    return Filter(
        where=_where(sent.get("where")),
        order=tuple(_order(sent.get("order"))) or (("id", False),),
        limit=min(_whole("limit", sent.get("limit") or cap, least=1), cap),
        skip=_whole("skip", sent.get("skip") or sent.get("offset") or 0, least=0),
        fields=sent.get("fields"),
        deleted=bool(sent.get("deleted")),
    )


def _where(sent: object) -> Mapping[str, Json]:
    if sent is None:
        return {}
    if not isinstance(sent, dict):
        raise BadFilter(400, f"The where clause {json.dumps(sent)} is not an object")
    return sent


def _whole(name: str, sent: object, *, least: int) -> int:
    try:
        number = float(sent)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1
    if number < least or number != int(number):
        raise BadFilter(400, f"The {name} parameter {json.dumps(sent)} is not valid")
    return int(number)


def _order(sent: object) -> Iterable[tuple[str, bool]]:
    for entry in sent if isinstance(sent, list) else [sent] if sent else []:
        if not isinstance(entry, str):
            raise BadFilter(400, f"The order {json.dumps(entry)} is not valid")
        for token in filter(None, re.split(r"\s*,\s*", entry)):
            name, direction = [*token.split(), "ASC"][:2]
            if direction.upper() not in ("ASC", "DESC"):
                raise BadFilter(400, f'The order "{token}" has invalid direction')
            yield name, direction.upper() == "DESC"


def project(record: Mapping[str, Json], fields: object) -> Mapping[str, Json]:
    """The record reduced to ``fields``: names to keep, or a mapping of names to whether they stay."""
    if isinstance(fields, Mapping):
        kept = {name for name, stays in fields.items() if stays}
        dropped = {name for name, stays in fields.items() if not stays}
    else:
        kept, dropped = set(fields if isinstance(fields, list) else [fields]), set()
    if kept:
        return {name: value for name, value in record.items() if name in kept}
    return {name: value for name, value in record.items() if name not in dropped}


def instant(value: object) -> str:
    """A date-time as the API writes it: UTC with milliseconds and ``Z``. Raises ``ValueError``."""
    if isinstance(value, str) and len(value) == 24 and value[10] == "T" and value[23] == "Z":
        datetime.fromisoformat(value)
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        moment = datetime.fromtimestamp(value / 1000, UTC)
    else:
        moment = datetime.fromisoformat(str(value))
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
