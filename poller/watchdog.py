"""The beat of the daemon: it asks the database, looks at the pulse, and tells the service manager.

It beats in the scheduler's own loop, so that it stops when that does. Where something stands still, the manager is not
told that all is well, and starts the process anew in the end: a kill at any moment loses nothing.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from poller.log import clean
from poller.notify import Notifier
from poller.service import Service
from poller.stores import StoreError, reading
from poller.stores.opening import OpeningError

log = structlog.get_logger()

EVERY_S = 20.0
"""How often it beats at least: ``poller health`` wants to know how the database is, with or without a manager."""


class Watchdog:
    """To be called every ``every_s`` seconds by ``beat``.

    ``service`` gives the one that is at work now, ``also`` what else its operator should read of it.
    """

    def __init__(
        self, notifier: Notifier, service: Callable[[], Service], database: Path, also: Callable[[], str] = str
    ) -> None:
        self._notifier = notifier
        self._service = service
        self._database = database
        self._also = also
        self._trouble = ""
        self.every_s = min(EVERY_S, notifier.every_s or EVERY_S)

    def beat(self) -> None:
        """Say how it goes; and, if nothing stands still, that all is well."""
        pulse = self._service().pulse
        pulse.turned("the scheduler")
        told = self._asked()
        trouble, before = pulse.trouble(), self._trouble
        self._trouble = trouble
        if not trouble:
            self._notifier.watchdog()
        elif not before:
            log.error("poller.stands_still", reason=trouble)
        if before and not trouble:
            log.info("poller.moves", reason=before)
        self._notifier.status(clean("; ".join(filter(None, [trouble, *told, self._also()]))))

    def _asked(self) -> list[str]:
        """What the state says, by a connection of its own: the store's lock may be held by who waits for the disk."""
        service = self._service()
        service.pulse.asked()
        try:
            with reading.View(self._database) as view:
                totals = view.totals(service.plan.watches)
        except (StoreError, OpeningError) as error:
            service.pulse.answered(str(error))
            return []
        service.pulse.answered()
        return [*_words(totals), f"polls pause: {service.pressed}" if service.pressed else ""]


def _words(totals: reading.Totals) -> list[str]:
    parts = [
        f"{totals.failing} failing" if totals.failing else "",
        f"{totals.held} with deletions held" if totals.held else "",
        f"{totals.paused} paused" if totals.paused else "",
    ]
    streams = f"{totals.streams} stream{'' if totals.streams == 1 else 's'}"
    pending = f"{totals.pending} {'delivery' if totals.pending == 1 else 'deliveries'} pending"
    return [", ".join([streams, *filter(None, parts)]), pending]
