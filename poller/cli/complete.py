"""What shells offer for names: from the configuration and the state, where they are cheap to read, else nothing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click

Offer = Callable[[click.Context, click.Parameter, str], list[str]]


def offering(*found: Callable[[Path | None], Iterator[str]]) -> Offer:
    """A completion by these: what of them begins with what is typed. Silent, whatever goes wrong."""

    def offer(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        names: set[str] = set()
        for names_of in found:
            with suppress(Exception, SystemExit):
                names.update(names_of(context.find_root().params.get("config")))
        return sorted(name for name in names if name.startswith(typed))

    return offer


def _sinks(config: Path | None) -> Iterator[str]:
    return iter(_load(config).sinks)


def _routes(config: Path | None) -> Iterator[str]:
    return (route.name for route in _load(config).plan().routes)


def _triggers(_config: Path | None) -> Iterator[str]:
    from poller.triggers import TRIGGERS  # noqa: PLC0415 - only where it is asked for

    return iter(TRIGGERS)


def _streams(config: Path | None) -> Iterator[str]:
    from poller.stores import reading  # noqa: PLC0415 - only where it is asked for

    with reading.View(_load(config).state.path) as view:
        return iter([standing.stream.name for standing in view.streams()])


def _load(config: Path | None):  # type: ignore[no-untyped-def]  # noqa: ANN202 - its type costs half a second
    import os  # noqa: PLC0415 - only where it is asked for

    from poller.config import find, load  # noqa: PLC0415 - only where it is asked for

    return load(find(config, os.environ))


SINKS = offering(_sinks)
ROUTES = offering(_routes)
TRIGGER_NAMES = offering(_triggers)
PAUSABLE = offering(_sinks, _routes, _streams)
DECIDABLE = offering(_streams, _routes)
