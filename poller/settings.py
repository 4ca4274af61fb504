"""The words that configuration is written in: strict tables, durations, paths, and secrets that do not print."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_LONGEST_S = 3650 * 86400.0


class SettingError(Exception):
    """A setting cannot be used. The message says which and what to do; the caller adds file and key."""


class Strict(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def misnamed(what: str, name: str) -> str:
    """Why ``what`` cannot have this name; empty where it can."""
    good = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and len(name) <= 64
    return "" if good else f"a {what}'s name has letters, digits, - and _, 64 at most"


def called(what: str) -> AfterValidator:
    """What the name of ``what`` has to be like."""

    def check(name: str) -> str:
        if wrong := misnamed(what, name):
            raise ValueError(wrong)
        return name

    return AfterValidator(check)


def written(pattern: str, description: str, *examples: str) -> WithJsonSchema:
    """How a value is written that is no text once it is read, for the schema of the configuration."""
    told = {"type": "string", "pattern": pattern, "description": description, "examples": [*examples]}
    return WithJsonSchema(told, mode="validation")


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError('should be a duration such as "30s", "5m" or "6h"')
    if isinstance(value, (int, float)):
        raise ValueError(f'should say its unit: "{value}s", "{value}m" or "{value}h"')
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value.replace(" ", ""):
        raise ValueError(f'"{value}" is not a duration; write one such as "30s", "5m", "6h" or "1h30m"')
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise ValueError(f'"{value}" is longer than ten years')
    return seconds


def duration(seconds: float) -> str:
    """A span as the configuration writes it, in the largest unit that has no fraction: ``"90s"``, ``"6h"``."""
    span_ms = round(seconds * 1000)
    for unit, unit_s in reversed(_UNITS_S.items()):
        if span_ms and span_ms % round(unit_s * 1000) == 0:
            return f"{span_ms // round(unit_s * 1000)}{unit}"
    return "0s"


Duration = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=str),
    PlainSerializer(duration, return_type=str),
    written(
        r"^ *([0-9]+(\.[0-9]+)? *(ms|s|m|h|d) *)+$",
        "A span of time with its unit: ms, s, m, h or d.",
        "30s",
        "5m",
        "6h",
        "14d",
        "1h30m",
    ),
]
"""A span written as ``"30s"``, ``"5m"``, ``"6h"``, ``"14d"`` or ``"1h30m"``; in seconds once read."""

Interval = Annotated[Duration, Field(gt=0)]
"""A ``Duration`` that is more than nothing."""


def _bytes(value: object) -> object:
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError('should be a size such as "512MiB" or "2GiB"')
    return int(float(found[1]) * _SIZES[found[2]])


_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def size(size_bytes: int) -> str:
    """A size as the configuration writes it, in the largest unit that has no fraction: ``"512MiB"``."""
    unit = next(name for name, unit_bytes in reversed(_SIZES.items()) if size_bytes % unit_bytes == 0)
    return f"{size_bytes // _SIZES[unit]}{unit}" if size_bytes else "0B"


Size = Annotated[
    int,
    BeforeValidator(_bytes, json_schema_input_type=str),
    PlainSerializer(size, return_type=str),
    written(
        r"^\s*[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)\s*$",
        "A size with its unit: B, KiB, MiB, GiB or TiB.",
        "512MiB",
        "2GiB",
    ),
]
"""A size written as ``"512MiB"`` or ``"2GiB"``; in bytes once read."""


def _named(value: object) -> object:
    if value in ("", ".", "/"):
        raise ValueError("should be the path of a file")
    return value


FilePath = Annotated[Path, Field(strict=False), BeforeValidator(_named)]
"""A path written as a string; relative ones are relative to the working directory."""

Strings = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]
"""A list of strings, none of them empty."""


def web_url(url: str) -> SplitResult:
    """The parts of a URL that can be asked for; raises ``ValueError``."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError('should be a URL that begins with "https://"')
    return parts


def _https(url: str) -> str:
    parts = web_url(url)
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("should have no user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError('should begin with "https://" ("http://" is for loopback addresses only)')
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine by its name or number, without asking a resolver."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


HttpsUrl = Annotated[
    str,
    AfterValidator(_https),
    WithJsonSchema({"type": "string", "pattern": "^https?://", "examples": ["https://api.example.com/v1"]}),
]
"""An API's base URL, without its last slash; plain http is for loopback addresses only."""
