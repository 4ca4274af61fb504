"""A configuration in place of another: built whole and checked, or refused with nothing changed."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from poller.assembly import renew
from poller.changes import changes
from poller.config import Config, ConfigError
from poller.outline import Known
from poller.service import Service
from poller.settings import SettingError
from poller.sketch import sketch
from poller.stores import StoreError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How the last reload went; ``error`` says why it was refused: file, key, what, one problem a line."""

    ok: bool
    at_ms: int
    error: str = ""


class Refused(Exception):
    """The new configuration cannot be used; the text says why."""


def renewed(read: Callable[[], Config], before: Config, service: Service) -> tuple[Config, Service]:
    """The configuration as it is now, and what it asks for, on the same store as ``service``; raises ``Refused``."""
    try:
        config = read()
        _check_place(config, before)
        return config, renew(config, service)
    except (ConfigError, SettingError, StoreError) as error:
        raise Refused(str(error)) from error
    except Exception as bug:
        log.exception("configuration.broken")
        raise Refused(f"a defect in poller: {type(bug).__name__}") from bug


def warn(before: Config, after: Config) -> None:
    """Say of sinks that are just as others were, that they are new ones all the same."""
    for queue in changes(sketch(before), sketch(after), Known()).queues:
        if queue.renamed:
            hint = "a new name is a new sink; what waits for the old one waits until a sink has that name again"
            log.warning("sink.renamed", sink=queue.name, before=queue.renamed, hint=hint)


def _check_place(config: Config, before: Config) -> None:
    path, old = config.state.path, before.state.path
    if path.absolute() != old.absolute():
        raise SettingError(f"state.path: cannot become {path} while poller runs on {old}; restart it for that")
