"""One round of everything: poll every stream now, deliver what is due. For cron, for tests, for a look."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from poller.assembly import assemble
from poller.config import Config
from poller.deliver import drain
from poller.service import POLL_THREADS, Service, wall_ms
from poller.stores import Standing, reading
from poller.stores.opening import NoStateError

_T = TypeVar("_T")


class Round(NamedTuple):
    """How a round went: streams polled, those with trouble, deliveries that should have been made.

    Those that a route puts off are not among them.
    """

    polled: int
    failed: tuple[Standing, ...]
    pending: int

    @property
    def well(self) -> bool:
        """Whether all of it succeeded."""
        return not self.failed and not self.pending


def once(config: Config, *, full: bool, accept_loss: bool) -> Round:
    """Poll and deliver; raises ``SourceError`` where not even the organizations could be seen."""
    service = assemble(config, accept_loss=accept_loss)
    try:
        standings = _poll(service, full=full)
        _deliver(service)
    finally:
        service.stop.set()
        service.close()
    with reading.View(config.state.path) as view:
        unfinished = view.unfinished(wall_ms())
    failed = tuple(standing for standing in standings if standing.error)
    return Round(len(standings), failed, sum(unfinished.get(name, 0) for name in (*config.sinks, *config.queues())))


def dry_run(config: Config, *, full: bool, show: Callable[[reading.Stored], None]) -> Round:
    """Poll into a copy of the state and show the events that it would make; nothing is delivered or kept."""
    with tempfile.TemporaryDirectory(prefix="poller-dry-run-") as folder:
        copy = Path(folder) / "poller.db"
        before = 0
        with suppress(NoStateError), reading.View(config.state.path) as view:
            view.copy(copy)
            before = max((event.sequence for event in view.last("*", 1)), default=0)
        service = assemble(config, state=copy, deliver=False)
        try:
            standings = _poll(service, full=full)
        finally:
            service.stop.set()
            service.close()
        with reading.View(copy) as view:
            while events := view.after("*", before):
                before = events[-1].sequence
                for event in events:
                    show(event)
    return Round(len(standings), tuple(standing for standing in standings if standing.error), 0)


def _poll(service: Service, *, full: bool) -> Sequence[Standing]:
    service.adopt()
    orgs = {organization.id for organization in service.source.organizations()}
    service.suspend_unseen(orgs)
    polls = [partial(service.poll, stream, full=full) for stream in service.streams(orgs)]
    return _together(service, polls, POLL_THREADS)


def _deliver(service: Service) -> None:
    drains = [partial(drain, queue, service.stop, until_empty=True) for queue in service.drains]
    _together(service, drains, max(1, len(drains)))


def _together(service: Service, calls: Sequence[Callable[[], _T]], threads: int) -> list[_T]:
    """Make these calls in so many threads; an interrupt, or a defect in one, ends them all."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(lambda call: call(), calls))
        except BaseException:
            service.stop.set()
            service.wake()
            raise
