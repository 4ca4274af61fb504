"""The shell around the two loops: threads, the schedule, signals, start and stop."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, NoReturn

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor as JobPool
from apscheduler.schedulers.background import BackgroundScheduler

from poller import __version__
from poller.config import Config
from poller.control import Command, Control, socket_path
from poller.deliver import Drain, drain
from poller.model import Plan, Stream
from poller.poll import poll
from poller.running import Tools
from poller.schedule import CEILING_S, after_poll, first_poll_ms
from poller.sinks import Sink
from poller.sources import Denied, Source, SourceError
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores import Decision, Standing, StoreError
from poller.stores.sqlite import SqliteStore

log = structlog.get_logger()

POLL_THREADS = 8
LOOK_UP_RETRY_S = 30.0
STORE_RETRY_S = 30.0
DRAIN_S = 7.0
"""How long a stop waits for sends under way: it is over within 8 s, and Docker kills after 10 s."""


def wall_ms() -> int:
    """Now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Service:
    """A source, a store and sinks at work together; ``stop`` ends every wait of theirs."""

    def __init__(
        self, plan: Plan, source: Source, store: SqliteStore, sinks: dict[str, Sink], stop: threading.Event
    ) -> None:
        self.plan = plan
        self.source = source
        self.store = store
        self.stop = stop
        self.senders = [
            ThreadPoolExecutor(sink.concurrency, thread_name_prefix=f"send-{name}") for name, sink in sinks.items()
        ]
        self.drains = [
            Drain(name, sink, store, sender, wall_ms, random.random)
            for (name, sink), sender in zip(sinks.items(), self.senders, strict=True)
        ]
        self.tools = Tools(source, store, plan, wall_ms, self.wake)

    def wake(self) -> None:
        """Let every sink look for what is due."""
        for queue in self.drains:
            queue.wake.set()

    def streams(self, orgs: Iterable[str]) -> list[Stream]:
        """All streams of these organizations that have polls of their own."""
        return [Stream(org, name) for org in orgs for name, watch in self.plan.watches.items() if watch.announces]

    def poll(self, stream: Stream, *, full: bool = False) -> Standing:
        """Poll once, keep how it went, and log trouble once; the stream's new standing."""
        began_ms = wall_ms()
        error: SourceError | StoreError | None = None
        try:
            poll(self.tools, stream, full=full)
        except (SourceError, StoreError) as trouble:
            error = trouble
        except Exception as bug:
            log.exception("stream.broken", stream=stream.name)
            error = SourceError(f"a defect in poller: {type(bug).__name__}")
        standing = self._keep(stream, error, began_ms)
        parent = self.plan.watches[stream.resource].resource.parent
        if error is None and parent and not self.plan.watches[parent].announces:  # it has no polls of its own
            self._keep(Stream(stream.org, parent), None, began_ms)
        if error and not self.stop.is_set():
            event = "stream.suspended" if standing.suspended else "stream.failed"
            log.warning(event, stream=stream.name, reason=str(error), failures=standing.failures)
        return standing

    def _keep(self, stream: Stream, error: SourceError | StoreError | None, began_ms: int) -> Standing:
        """Keep how a poll went, and when the next one is due."""
        before, watch = self.store.standing(stream), self.plan.watches[stream.resource]
        standing = after_poll(before, watch, error, began_ms=began_ms, now_ms=wall_ms(), chance=random.random())
        self.store.schedule(standing)
        return standing

    def suspend_unseen(self, orgs: Iterable[str]) -> None:
        """Suspend the streams of organizations that the token does not see any more. Nothing is deleted."""
        seen = set(orgs)
        reason = "the organization is not among those that the token sees"
        for standing in self.store.streams():
            if standing.stream.org not in seen and not standing.suspended:
                self.store.schedule(_suspended(standing, reason))
                log.warning("stream.suspended", stream=standing.stream.name, reason=reason)

    def close(self) -> None:
        """Wait a little for sends under way, keep their answers, and leave the state clean."""
        ends_at = time.monotonic() + DRAIN_S
        for queue in self.drains:
            queue.finish(max(0.0, ends_at - time.monotonic()))
            queue.sink.close()
        for sender in self.senders:
            sender.shutdown(wait=False, cancel_futures=True)
        self.store.close()


def _suspended(standing: Standing, reason: str) -> Standing:
    return replace(standing, suspended=True, error=reason)


class Daemon:
    """Polls on a schedule and delivers at once, until a signal.

    ``rate`` is the source's, in requests a second: the first polls of new streams are spread to fit into it.
    """

    def __init__(self, service: Service, database: Path, *, rate: float, look_up_every_s: float) -> None:
        self._service = service
        self._database = database
        self._rate = rate
        self._look_up_every_s = look_up_every_s
        self._followed: set[Stream] = set()
        self._stopping = False
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": JobPool(POLL_THREADS)},
            # A poll plans the next one while it still counts as an instance itself: at 1, one that is due at once
            # would be skipped, and the stream forgotten. Two polls of a stream are kept apart by ``Tools.turns``.
            job_defaults={"coalesce": True, "max_instances": POLL_THREADS, "misfire_grace_time": None},
        )

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish what is under way. A second signal ends the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        commands: dict[str, Command] = {
            "decide": self._decide,
            "retry": self._retry,
            "ping": lambda: {"pid": os.getpid()},
        }
        control = Control(socket_path(self._database), commands)
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
        log.info("poller.started", version=__version__, sinks=[queue.name for queue in self._service.drains])
        self._signals.get()
        stop.set()
        control.close()
        self._scheduler.shutdown(wait=False)
        self._service.wake()
        for thread in drains:
            thread.join(DRAIN_S)
        self._service.close()
        log.info("poller.stopped")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Say so by what takes no lock: the signal may have come while this very thread was holding it."""
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._signals.put(number)

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
            self._followed.add(stream)
            first_ms = first_poll_ms(
                self._service.store.standing(stream),
                self._service.plan.watches[stream.resource],
                now_ms=wall_ms(),
                spread_s=len(new) / self._rate,
                chance=random.random(),
            )
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
            next_ms = self._service.poll(stream).next_poll_ms
        except StoreError as error:
            next_ms = wall_ms() + int(STORE_RETRY_S * 1000)
            if not self._service.stop.is_set():
                log.warning("stream.stalled", stream=stream.name, reason=str(error))
        finally:
            if stream in self._followed and not self._service.stop.is_set():
                self._at(next_ms, self._poll, stream.name, stream)

    def _decide(self, stream: str, decision: str) -> dict[str, Any]:
        held = self._service.store.decide(stream, Decision(decision))
        for followed in self._followed:
            if held and followed.name == stream:
                self._at(wall_ms(), self._poll, followed.name, followed)
        return {"held": held}

    def _retry(self, sink: str | None, event_id: str | None) -> dict[str, Any]:
        count = self._service.store.retry(sink, event_id, wall_ms())
        self._service.wake()
        return {"count": count}


def leave(code: int) -> NoReturn:
    """End the process now: a poll that waits for the network is abandoned, nothing of it was committed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def source(config: Config, stop: threading.Event | None = None) -> SpaceInvoices:
    """The API as the configuration names it; raises ``SettingError`` where the token cannot be read."""
    table = config.source
    return SpaceInvoices(
        table.token.reveal(),
        base_url=table.base_url,
        rate=table.rate,
        organizations=table.organizations,
        stop=stop,
    )


def service(config: Config, *, accept_loss: bool = False, state: Path | None = None, deliver: bool = True) -> Service:
    """Put together what the configuration asks for.

    ``state`` is another database than its own; without ``deliver`` there are no sinks. Raises
    ``SettingError`` and ``OpeningError``.
    """
    stop = threading.Event()
    api = source(config, stop)
    sinks = {name: table.sink() for name, table in config.sinks.items()} if deliver else {}
    store = SqliteStore(state or config.state.path, api.name, accept_loss=accept_loss)
    return Service(config.plan(), api, store, sinks, stop)


def run(config: Config, service: Service) -> None:
    """Run the daemon until a signal."""
    look_up_every_s = config.source.organizations_every
    Daemon(service, config.state.path, rate=config.source.rate, look_up_every_s=look_up_every_s).run()
