"""The daemon: the schedule, threads, signals, start and stop."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, NoReturn

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor as JobPool
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from poller import __version__
from poller.config import Config
from poller.control import Command, Control, socket_path
from poller.deliver import drain
from poller.listening import HttpTable
from poller.log import flush
from poller.model import Stream
from poller.operations import operations
from poller.report import Running
from poller.schedule import CEILING_S, first_poll_ms, next_poll_ms
from poller.service import DRAIN_S, POLL_THREADS, Service, wall_ms
from poller.settings import SettingError
from poller.sources import Denied, SourceError
from poller.stores import Keep, StoreError
from poller.stores.opening import OpeningError
from poller.web import Endpoint, Inside, Status

log = structlog.get_logger()

LOOK_UP_RETRY_S = 30.0
STORE_RETRY_S = 30.0
TIDY_EVERY_MS = 600_000

CLOCK_LOOK_S = 5.0
"""How often it is looked whether the clock was set back."""
ADJUSTED_MS = 1000
"""A clock that goes back by no more is one that is being adjusted."""


class Daemon:
    """Polls on a schedule and delivers at once, until a signal.

    ``rate`` is the source's, in requests a second: the first polls of new streams are spread to fit into it.
    """

    def __init__(
        self,
        service: Service,
        database: Path,
        *,
        rate: float,
        look_up_every_s: float,
        keep: Keep = Keep(),  # noqa: B008 - it is frozen
        http: HttpTable = HttpTable(),  # noqa: B008 - it is frozen
    ) -> None:
        self._service = service
        self._database = database
        self._keep = keep
        self._http = http
        self._rate = rate
        self._look_up_every_s = look_up_every_s
        self._followed: set[Stream] = set()
        self._stopping = False
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": JobPool(POLL_THREADS)},
            # A poll plans the next one while it still counts as an instance itself: at the limit, one that is due at
            # once would be skipped, and the stream forgotten. Two polls of a stream are kept apart by ``Tools.turns``.
            job_defaults={"coalesce": True, "max_instances": 1_000_000, "misfire_grace_time": None},
        )

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish what is under way. A second signal ends the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        control = self._control()
        endpoint = self._endpoint(control)
        stop = self._service.stop
        drains = [
            threading.Thread(target=drain, args=(queue, stop), name=f"drain-{queue.name}", daemon=True)
            for queue in self._service.drains
        ]
        for thread in drains:
            thread.start()
        self._scheduler.start()
        self._follow({standing.stream.org for standing in self._service.store.streams() if not standing.suspended})
        self._at(wall_ms(), self._look_up, "organizations")
        self._at(wall_ms(), self._tidy, "tidying")
        log.info("poller.started", version=__version__, sinks=[queue.name for queue in self._service.drains])
        for sink, pending in self._service.unknown_sinks().items():
            log.warning("sink.unknown", sink=sink, pending=pending, hint="they wait until a sink has that name again")
        self._until_signal()
        stop.set()
        if endpoint:
            endpoint.close()
        control.close()
        self._scheduler.shutdown(wait=False)
        self._service.wake()
        for thread in drains:
            thread.join(DRAIN_S)
        self._service.close()
        log.info("poller.stopped")

    def _control(self) -> Control:
        path = socket_path(self._database)
        try:
            return Control(path, self._commands())
        except OSError as error:
            self._service.close()
            raise OpeningError(f"{path} cannot be made: {error.strerror}; see [state] path") from error

    def _endpoint(self, control: Control) -> Endpoint | None:
        """The HTTP endpoint, where one is configured; raises ``SettingError`` where it cannot be had."""
        if self._http.listen is None:
            return None
        try:
            return Endpoint(self._http, self._inside())
        except SettingError:
            control.close()
            self._service.close()
            raise

    def _inside(self) -> Inside:
        service = self._service
        status = Status(self._database, lambda: service.plan, lambda: Running(os.getpid(), service.pressed), wall_ms)
        return Inside(
            health=str,  # it answers
            ready=status.ready,
            status=status,
            operations=self._commands(),
            sinks=lambda: [queue.name for queue in service.drains],
            changed=status.forget,
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Say so by what takes no lock: the signal may have come while this very thread was holding it."""
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._signals.put(number)

    def _until_signal(self) -> None:
        offset_ms = _offset_ms()
        while True:
            with suppress(Empty):
                self._signals.get(timeout=CLOCK_LOOK_S)
                return
            before_ms, offset_ms = offset_ms, _offset_ms()
            if offset_ms < before_ms - ADJUSTED_MS:
                self._set_back(before_ms - offset_ms)

    def _set_back(self, by_ms: int) -> None:
        """Plan anew what was planned by a clock that was set back, else all would stand still for as long."""
        log.warning("clock.set_back", by_s=round(by_ms / 1000))
        for job in self._scheduler.get_jobs():
            with suppress(JobLookupError):  # it has just begun
                job.modify(next_run_time=job.next_run_time - timedelta(milliseconds=by_ms))
        try:
            self._service.store.set_back(by_ms, wall_ms())
        except StoreError as error:
            log.warning("clock.failed", reason=str(error))
        self._service.wake()

    def _at(self, time_ms: int, job: Callable[..., None], name: str, *arguments: object) -> None:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        self._scheduler.add_job(job, "date", arguments, run_date=moment, id=name, replace_existing=True)

    def _look_up(self) -> None:
        """See which organizations there are; again later, sooner if that failed."""
        wait_s = self._look_up_every_s
        try:
            orgs = {organization.id for organization in self._service.source.organizations()}
            self._unfollow(orgs)
            self._follow(orgs)
        except (SourceError, StoreError) as error:
            wait_s = CEILING_S if isinstance(error, Denied) else min(wait_s, LOOK_UP_RETRY_S)
            if not self._service.stop.is_set():
                log.warning("organizations.failed", reason=str(error), wait_s=wait_s)
        if not self._service.stop.is_set():
            self._at(wall_ms() + int(wait_s * 1000), self._look_up, "organizations")

    def _follow(self, orgs: Iterable[str]) -> None:
        new = [stream for stream in self._service.streams(orgs) if stream not in self._followed]
        for stream in new:
            first_ms = first_poll_ms(  # the state may be locked: then the stream is new once more at the next look
                self._service.store.standing(stream),
                self._service.plan.watches[stream.resource],
                now_ms=wall_ms(),
                spread_s=len(new) / self._rate,
                chance=random.random(),
            )
            self._followed.add(stream)
            self._at(first_ms, self._poll, stream.name, stream)

    def _unfollow(self, orgs: set[str]) -> None:
        self._service.suspend_unseen(orgs)
        for stream in [stream for stream in self._followed if stream.org not in orgs]:
            self._followed.discard(stream)

    def _poll(self, stream: Stream) -> None:
        if stream not in self._followed:
            return
        next_ms = wall_ms() + int(CEILING_S * 1000)
        try:
            standing = self._service.poll(stream)
            next_ms = next_poll_ms(standing, self._service.plan.watches[stream.resource], now_ms=wall_ms())
        except StoreError as error:
            self._service.stall(error, STORE_RETRY_S)
            next_ms = wall_ms() + int(STORE_RETRY_S * 1000)
            if not self._service.stop.is_set():
                log.warning("stream.stalled", stream=stream.name, reason=str(error))
        finally:
            if stream in self._followed and not self._service.stop.is_set():
                self._at(next_ms, self._poll, stream.name, stream)

    def _tidy(self) -> None:
        try:
            self._service.tidy(self._keep)
        except StoreError as error:
            if not self._service.stop.is_set():
                log.warning("tidying.failed", reason=str(error))
        if not self._service.stop.is_set():
            self._at(wall_ms() + TIDY_EVERY_MS, self._tidy, "tidying")

    def _commands(self) -> dict[str, Command]:
        """What the socket takes: the operations, after each of which everything looks for what it has to do."""
        every = operations(self._service.store, wall_ms, self._service.plan)
        return {"ping": self._ping} | {name: self._then_look(operation) for name, operation in every.items()}

    def _ping(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "pressed": self._service.pressed}

    def _then_look(self, operation: Command) -> Command:
        def command(**request: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever came over the socket
            answer = operation(**request)
            for stream in list(self._followed):
                if stream.name == request.get("stream"):
                    self._at(wall_ms(), self._poll, stream.name, stream)
            self._service.wake()
            return answer

        return command


def _offset_ms() -> int:
    """How far the clock of the machine is ahead of one that nobody can set."""
    return wall_ms() - time.monotonic_ns() // 1_000_000


def leave(code: int) -> NoReturn:
    """End the process now: a poll that waits for the network is abandoned, nothing of it was committed.

    What went to standard output was flushed then: now it might wait for a reader who does not read.
    """
    flush()
    os._exit(code)


def run(config: Config, service: Service) -> None:
    """Run the daemon until a signal."""
    table = config.source
    Daemon(
        service,
        config.state.path,
        rate=table.rate,
        look_up_every_s=table.organizations_every,
        keep=config.state.keeping(),
        http=config.http,
    ).run()
