"""The tables of the configuration that are not a sink's, a route's or a system's."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from poller.nearest import nearest
from poller.places import STATE, TOKEN_VARIABLE
from poller.pressure import Limits
from poller.secret import Secret
from poller.settings import Duration, FilePath, HttpsUrl, Interval, Size, Strict, Strings, called, written
from poller.sources.resources import RESOURCES
from poller.stores import Keep


def _organization(name: str) -> str:
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f'"{name}" is not the id of an organization')
    return name


def _origin(mark: str) -> str:
    if not (mark.isascii() and re.fullmatch(r"[\w.-]{1,64}", mark)):
        raise ValueError("should have letters, digits, dots, - and _, 64 at most")
    return mark


def _budget(value: object) -> object:
    """``"10/s"``, ``"300/m"`` or ``"5000/h"``, in requests a second."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?/ ?(s|m|h)", value) if isinstance(value, str) else None
    if not found:
        raise ValueError('should be so many requests in a second, a minute or an hour, such as "10/s" or "300/m"')
    return float(found[1]) / {"s": 1, "m": 60, "h": 3600}[found[2]]


def _resource(value: object) -> object:
    """``"30s"`` stands for ``{ every = "30s" }``, and False for a resource that is not followed."""
    if value is False:
        return None
    if isinstance(value, str):
        return {"every": value}
    if not isinstance(value, Mapping):
        raise ValueError('should be an interval such as "30s", or false, or a table')
    return value


def _resource_name(name: str) -> str:
    if name not in RESOURCES:
        raise ValueError("unknown resource" + nearest(name, list(RESOURCES)))
    return name


SinkName = Annotated[str, called("sink")]
"""What a sink is called: letters, digits, - and _."""


def _as_written(requests_s: float) -> str:
    """A budget as the configuration writes it: by the second, or by the hour where it is less than one a second."""
    return f"{requests_s:g}/s" if requests_s >= 1 else f"{round(requests_s * 3600, 6):g}/h"


Budget = Annotated[
    float,
    Field(gt=0, le=100),
    BeforeValidator(_budget, json_schema_input_type=str),
    PlainSerializer(_as_written, return_type=str),
    written(
        r"^[0-9]{1,6}(\.[0-9]{1,6})? ?/ ?(s|m|h)$",
        "So many requests in a second, a minute or an hour.",
        "10/s",
        "300/m",
    ),
]
"""A number of requests written as ``"10/s"``; in requests a second once read."""


class SourceTable(Strict):
    """``[source]``: where records come from and how often it is asked; spans in seconds.

    ``organizations`` None means all that the token can see, looked up every ``organizations_every``.
    ``rate`` is in requests a second; the API's own limit is 100 for each API key. With a ``budget``, in requests a
    second too, polls do not come at intervals but where most is expected, at most ``max_interval`` apart. ``origin``
    marks the records that actions make, so that routes know their own.
    """

    token: Secret = Secret(env=TOKEN_VARIABLE)
    base_url: HttpsUrl = "https://api.spaceinvoices.com/v1"
    every: Interval = 60.0
    sweep_every: Interval = 6 * 3600.0
    overlap: Duration = 300.0
    organizations: (
        Annotated[tuple[Annotated[str, AfterValidator(_organization)], ...], Field(strict=False, min_length=1)] | None
    ) = None
    organizations_every: Interval = 900.0
    first_sync: Literal["silent", "emit"] = "silent"
    rate: Annotated[float, Field(gt=0, le=100)] = 20.0
    budget: Budget | None = None
    max_interval: Interval = 600.0
    count_every: Annotated[int, Field(ge=1)] = 10
    full_sweep: Annotated[int, Field(ge=1)] = 4
    origin: Annotated[str, AfterValidator(_origin)] = "poller"

    def allowed(self) -> float:
        """How many requests a second the key may make: the rate, or a budget below it."""
        return min(self.rate, self.budget or self.rate)


class ResourceTable(Strict):
    """One row of ``[resources]``; what it does not say is as in ``[source]``.

    ``ignore`` are dotted paths that make no change, beside those that never do.
    """

    every: Interval | None = None
    sweep_every: Interval | None = None
    ignore: Strings = ()


ResourceTables = dict[
    Annotated[str, AfterValidator(_resource_name)],
    Annotated[
        ResourceTable | None,
        BeforeValidator(_resource, json_schema_input_type=Interval | Literal[False] | ResourceTable),
    ],
]
"""``[resources]``: those that are not followed as ``[source]`` says, by name; None are not followed at all."""


class StateTable(Strict):
    """``[state]``: where the database is, what it keeps for how long, and how large it may become.

    A relative path is relative to the working directory. At ``max_pending`` deliveries of a sink, at
    ``max_size``, or below ``min_free`` on the disk, polls pause until it is 80 % of that. A path on a network file
    system is refused unless ``allow_network`` insists.
    """

    path: FilePath = STATE
    allow_network: bool = False
    keep: Interval = 14 * 86400.0
    keep_parked: Interval = 30 * 86400.0
    give_up: Interval = 14 * 86400.0
    max_pending: Annotated[int, Field(ge=1)] = 100_000
    max_size: Size = 2 << 30
    min_free: Size = 256 << 20

    def keeping(self) -> Keep:
        """How long deliveries are kept."""
        return Keep(self.keep, self.keep_parked, self.give_up)

    def limits(self) -> Limits:
        """Where polls pause."""
        return Limits(self.max_pending, self.max_size, self.min_free)
