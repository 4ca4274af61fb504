"""The triggers: what a route can be on, by name, by pattern, and as connector platforms speak of it."""

from collections.abc import Mapping

from poller.model import Kind
from poller.nearest import nearest
from poller.notices import NOTICES
from poller.route import names
from poller.sources.resources import RESOURCES, connector_name

TRIGGERS: Mapping[str, str] = {f"{row.singular}.{kind}": row.name for row in RESOURCES.values() for kind in Kind}
"""Every trigger of a record, and the resource that it is of."""

EVERY = [*TRIGGERS, *NOTICES]
"""Every trigger, those of operator events too."""

_ALIASES = {connector_name(row, kind): f"{row.singular}.{kind}" for row in RESOURCES.values() for kind in Kind}
_ALIASES |= {row.title: trigger for trigger, row in NOTICES.items()}
_SPOKEN = {alias.casefold(): trigger for alias, trigger in _ALIASES.items()}
_PATTERNS = [
    "*",
    *EVERY,
    *(f"{row.singular}.*" for row in RESOURCES.values()),
    *(f"*.{kind}" for kind in Kind),
    "poller.*",
    "poller.sink.*",
    "poller.stream.*",
]


def trigger_named(name: str) -> str:
    """``client.created`` of "New Client", as connector platforms have it; any other name is as it is."""
    return _SPOKEN.get(name.casefold(), name)


def pattern(text: str) -> str:
    """The pattern, if any trigger matches it; raises ``ValueError`` where none does."""
    wanted = trigger_named(text)
    if not any(names(wanted, trigger) for trigger in EVERY):
        raise ValueError(f'"{wanted}" matches no trigger' + nearest(wanted, [*_PATTERNS, *_ALIASES]))
    return wanted
