"""A source, a store and sinks at work together: what a daemon and a single round share."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import structlog

from poller.changes import estranged
from poller.deliver import Drain
from poller.envelope import trigger
from poller.meter import Meter
from poller.model import Kind, Stream
from poller.plan import Plan
from poller.poll import poll
from poller.pressure import Limits, Load
from poller.pulse import Pulse
from poller.running import Tools
from poller.shares import Requests, Shares
from poller.sight import Sight
from poller.signs import Signs
from poller.sinks import Sink
from poller.sources import Denied, Source, SourceError
from poller.sources.spaceinvoices import ANSWER_S
from poller.standings import Standings
from poller.stores import Keep, Standing, StoreError
from poller.stores.sqlite import SqliteStore
from poller.strain import EVERY_S, Strain

log = structlog.get_logger()

DRAIN_S = 7.0
"""How long a stop waits for sends under way: it is over within 8 s, and Docker kills after 10 s."""

_LOOK_S = 0.02

POLL_THREADS = 8
TIDY_PAUSE_S = 0.05


def wall_ms() -> int:
    """Now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Service:
    """A source, a store and sinks at work together; ``stop`` ends every wait of theirs.

    ``turns`` are those of the service before on the same store, as in ``Tools``.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        store: SqliteStore,
        sinks: dict[str, Sink],
        stop: threading.Event,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        turns: dict[Stream, threading.Lock] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.plan = plan
        self.source = source
        self.store = store
        self.stop = stop
        self.pulse = Pulse()
        self.meter = meter or Meter()
        self.meter.begin(resource=plan.watches, trigger=_triggers(plan), sink=sinks)
        if plan.routes:  # they park what they cannot tell where to send
            self.meter.count("deliveries", 0, sink="", outcome="parked")
        self.sight = Sight(self.meter)
        self.strain = Strain(self._load, limits)
        polling = partial(self.pulse.polling, budget_s=ANSWER_S)
        turns = {} if turns is None else turns
        self.shares = Shares(plan.budget) if plan.budget else None
        self._thread = threading.local()
        signs = Signs(source, self._answered)
        self.tools = Tools(signs, store, plan, wall_ms, self.wake, polling, turns, self.meter)
        self.standings = Standings(self.tools, self.shares)
        self.senders = [
            ThreadPoolExecutor(sink.concurrency, thread_name_prefix=f"send-{name}") for name, sink in sinks.items()
        ]
        self.drains = [
            Drain(
                name,
                sink,
                store,
                sender,
                wall_ms,
                random.random,
                pulse=self.pulse,
                meter=self.meter,
                outgoing=self.tools.outgoing,
                rouse=self.wake,
            )
            for (name, sink), sender in zip(sinks.items(), self.senders, strict=True)
        ]

    def wake(self) -> None:
        """Let every sink look for what is due."""
        for queue in self.drains:
            queue.wake.set()

    def _answered(self) -> None:
        """The API answered the poll of this thread once more."""
        self._thread.answers = self._answers() + 1
        self.pulse.moved()

    def _answers(self) -> int:
        return getattr(self._thread, "answers", 0)

    def streams(self, orgs: Iterable[str]) -> list[Stream]:
        """All streams of these organizations that have polls of their own, as far as they are to be followed."""
        allowed = self.plan.organizations
        orgs = [org for org in orgs if allowed is None or org in allowed]
        return [Stream(org, name) for org in orgs for name, watch in self.plan.watches.items() if watch.announces]

    def poll(self, stream: Stream, *, full: bool = False) -> Standing:
        """Poll once, keep how it went, and log trouble once; the stream's new standing.

        A paused stream, and any stream under pressure, is left for later, and nothing of it is kept.
        """
        began_s = time.monotonic()
        standing = self.store.standing(stream)
        if standing.paused or self.strain.now():
            self.meter.count("polls", resource=stream.resource, outcome="paused")
            if self.shares:
                self.shares.failed(stream)  # what holds it up says when it is looked at next
            wait_s = self.plan.watches[stream.resource].every_s if standing.paused else EVERY_S
            return replace(standing, next_poll_ms=wall_ms() + int(wait_s * 1000), error=self.pressed)
        error: SourceError | StoreError | None = None
        found, self._thread.answers = 0, 0
        try:
            found = poll(self.tools, stream, full=full)
        except (SourceError, StoreError) as trouble:
            error = trouble
        except Exception as bug:
            self.meter.count("defects", loop="poll")
            log.exception("stream.broken", stream=stream.name)
            error = SourceError(f"a defect in poller: {type(bug).__name__}")
        if error and self.stop.is_set():
            return standing  # it was abandoned, which is no trouble of the stream
        self.meter.count("polls", resource=stream.resource, outcome=_outcome(error))
        self.meter.observe("poll_seconds", time.monotonic() - began_s, resource=stream.resource)
        standing = self.standings.keep(stream, error, began_s, found=found, answers=self._answers())
        parent = self.plan.watches[stream.resource].resource.parent
        if parent and not self.plan.watches[parent].announces:  # it has no polls of its own
            self.standings.keep(Stream(stream.org, parent), error, began_s)
        if error:
            event = "stream.suspended" if standing.suspended else "stream.failed"
            log.warning(event, stream=stream.name, reason=str(error), failures=standing.failures)
        return standing

    def requests(self) -> Requests:
        """How many requests a second may be made now."""
        return Requests(self.plan.allowed, self.source.rate(), self.plan.budget)

    @property
    def pressed(self) -> str:
        """Why polls pause, in words; empty while they do not."""
        return self.strain.why

    def _load(self) -> Load:
        """How much there is now; what is pending for sinks that are no longer configured does not count."""
        load = self.store.load()
        return load._replace(pending={sink: count for sink, count in load.pending.items() if sink in self._names()})

    def unknown_sinks(self) -> dict[str, int]:
        """How many deliveries are pending for each sink that is not configured, or not any more."""
        return {sink: count for sink, count in self.store.load().pending.items() if sink not in self._names()}

    def _names(self) -> set[str]:
        return {queue.name for queue in self.drains}

    def tidy(self, keep: Keep) -> None:
        """Forget what has served its time, a chunk after the other."""
        while not self.stop.is_set():
            tidied = self.store.tidy(keep, wall_ms())
            for sink, expired in tidied.expired.items():
                self.meter.count("deliveries", expired, sink=sink, outcome="parked")
            if not tidied.done:
                return
            self.stop.wait(TIDY_PAUSE_S)

    def adopt(self) -> None:
        """Forget the streams that this configuration does not follow, or finds elsewhere.

        When they are followed again, they begin in silence: no change of the configuration makes an event. Raises
        ``SourceError`` where another address does not answer: it may be a mistake, and nothing is forgotten for that.
        """
        before = self.store.address()
        if before and self.plan.address not in ("", before):
            self._try_address()
        for standing in self.store.streams():
            if reason := estranged(standing, self.plan, before):
                with self.tools.turns.setdefault(standing.stream, threading.Lock()):
                    self.store.forget(standing.stream)
                records = standing.progress.live
                log.info("stream.forgotten", stream=standing.stream.name, records=records, reason=reason)
        if self.plan.address and self.plan.address != before:
            self.store.keep_address(self.plan.address)

    def _try_address(self) -> None:
        """Ask the API for what it shows with any token; raises ``SourceError``."""
        orgs = self.plan.organizations
        if orgs is None:
            self.source.organizations()
            return
        for name, watch in self.plan.watches.items():  # it need not be asked which organizations there are
            if watch.resource.parent is None:
                self.source.count(Stream(next(iter(orgs)), name))
                return

    def suspend_unseen(self, orgs: Iterable[str]) -> None:
        """Suspend the streams of organizations that are not among these any more. Nothing is deleted."""
        seen = set(orgs)
        sight = "those that the token sees" if self.plan.organizations is None else "source.organizations"
        reason = f"the organization is not among {sight}"
        for standing in self.store.streams():
            if standing.stream.org not in seen and not standing.suspended:
                self.standings.suspend(standing, reason)

    def close(self) -> None:
        """Wait a little for sends under way, keep their answers, and leave the state clean."""
        self.end(DRAIN_S)
        self.store.close()

    def end(self, timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Wait so long for sends under way, keep their answers, and close all but the store.

        Once there is reason to ``hurry`` it waits as long as a stop does, at most.
        """
        until, at_stop = time.monotonic() + timeout_s, float("inf")
        while any(queue.unanswered for queue in self.drains) and time.monotonic() < min(until, at_stop):
            at_stop = time.monotonic() + DRAIN_S if hurry() and at_stop == float("inf") else at_stop
            time.sleep(_LOOK_S)
        for queue in self.drains:
            try:
                queue.finish(0.0)
            except StoreError as error:  # then they are sent again
                log.warning("sink.stalled", sink=queue.name, reason=str(error))
            queue.sink.close()
        for sender in self.senders:
            sender.shutdown(wait=False, cancel_futures=True)
        self.source.close()


def _outcome(error: SourceError | StoreError | None) -> str:
    """How a poll ended, as the meter has it."""
    return "ok" if error is None else "denied" if isinstance(error, Denied) else "failed"


def _triggers(plan: Plan) -> list[str]:
    return [trigger(watch.resource, kind) for watch in plan.watches.values() if watch.announces for kind in Kind]
