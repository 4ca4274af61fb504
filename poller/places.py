"""Where things are: the configuration, and the state that it names. Known without reading what the rest of it means."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

TOKEN_VARIABLE = "SPACE_INVOICES_TOKEN"  # noqa: S105 - a name, not a secret
"""The environment variable whose token alone is enough to run."""

STATE = Path("state/poller.db")
"""The state, where the configuration names no other."""

_TABLE, _PATH = re.compile(r"[\s\[\"']*state\b"), re.compile(r"[\s\"']*path\b")
"""What speaks of the state, or of its place, in a file that cannot be read."""

_PLACES = (Path("config.toml"), Path("/etc/poller/config.toml"))


class ConfigError(Exception):
    """The configuration cannot be used; the text lists every problem, one a line: ``file: key: what``."""

    def __init__(self, origin: str, found: list[str]) -> None:
        self.problems = tuple(found)
        super().__init__("\n".join(f"{origin}: {problem}" if origin else problem for problem in found))


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to ``load``: ``explicit``, else ``$POLLER_CONFIG``, else the first there is.

    None where there is none and the token in the environment is enough; ``ConfigError`` where it is not there.
    """
    named = explicit or (Path(environ["POLLER_CONFIG"]) if environ.get("POLLER_CONFIG") else None)
    if named is not None:
        return named
    for place in _PLACES:
        if _is_there(place):
            return place
    if environ.get(TOKEN_VARIABLE, "").strip():
        return None
    places = " or ".join(str(place) for place in _PLACES)
    raise ConfigError("", [f"no configuration: set {TOKEN_VARIABLE}, or write {places}, or name a file with --config"])


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # in a folder that is closed to us: reading it will say so
        return True


def state(path: Path | None) -> Path:
    """The state that a configuration file names (None: without a file); raises ``ConfigError``.

    Nothing else of it is looked at: it may be wrong elsewhere, or half written, while a poller runs.
    """
    if path is None:
        return STATE
    try:
        table = toml(path).get("state", {})
    except ConfigError:
        if (named := _told(path)) is None:
            raise
        return named
    named = table.get("path", str(STATE)) if isinstance(table, dict) else None
    if not isinstance(named, str):
        raise ConfigError(str(path), ["state.path: should be a path"])
    return Path(named)


def _told(path: Path) -> Path | None:
    """What the lines of a file that is not TOML say of the state; None where that cannot be told."""
    within = unclear = False
    try:
        lines = path.read_text("utf-8-sig", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        row: dict[str, Any] = {}
        with suppress(ValueError, RecursionError):  # as in toml()
            row = tomllib.loads(line)
        if within and isinstance(row.get("path"), str):
            return Path(row["path"])
        if row == {"state": {}}:
            within = True
            continue
        within = within and not line.lstrip().startswith("[")
        unclear = unclear or bool((_PATH if within else _TABLE).match(line))
    return None if unclear else STATE


def toml(path: Path) -> dict[str, Any]:
    """What a file in TOML holds; raises ``ConfigError``."""
    text = ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"is not UTF-8: byte {error.start} is not"]) from None
    except (ValueError, RecursionError) as error:  # also a number or a nesting beyond all measure
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        what = str(error).replace("at end of document", f"at line {line}, column {column}, the end of the file")
        raise ConfigError(str(path), [f"is not TOML: {what}"]) from error
