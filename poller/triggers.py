"""The triggers: what a route can be on, by name, by pattern, and as connector platforms speak of it."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from poller.model import Kind
from poller.problems import nearest
from poller.sources.spaceinvoices import RESOURCES, connector_name

TRIGGERS: Mapping[str, str] = {f"{row.singular}.{kind}": row.name for row in RESOURCES.values() for kind in Kind}
"""Every trigger, and the resource that it is of."""

_ALIASES = {connector_name(row, kind): f"{row.singular}.{kind}" for row in RESOURCES.values() for kind in Kind}
_SPOKEN = {alias.casefold(): trigger for alias, trigger in _ALIASES.items()}
_PATTERNS = [
    "*",
    *TRIGGERS,
    *(f"{row.singular}.*" for row in RESOURCES.values()),
    *(f"*.{kind}" for kind in Kind),
]


def trigger_named(name: str) -> str:
    """``client.created`` of "New Client", as connector platforms have it; any other name is as it is."""
    return _SPOKEN.get(name.casefold(), name)


def pattern(text: str) -> str:
    """The pattern, if any trigger matches it; raises ``ValueError`` where none does."""
    wanted = trigger_named(text)
    if not any(fnmatchcase(trigger, wanted) for trigger in TRIGGERS):
        raise ValueError(f'"{wanted}" matches no trigger' + nearest(wanted, [*_PATTERNS, *_ALIASES]))
    return wanted
