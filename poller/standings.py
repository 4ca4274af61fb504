"""How streams stand: kept after each poll, with when the next one is due, and told where it turns."""

import random
import time
from dataclasses import replace

import structlog

from poller import budget
from poller.alarms import alarmed, raised
from poller.budget import History
from poller.model import Stream, format_time
from poller.running import Tools
from poller.schedule import after_poll
from poller.shares import Shares
from poller.sources import SourceError
from poller.stores import Standing, StoreError

log = structlog.get_logger()


class Standings:
    """The standings of a service's streams; without a budget there are no ``shares``."""

    def __init__(self, tools: Tools, shares: Shares | None) -> None:
        self._tools = tools
        self._plan = tools.plan
        self._store = tools.store
        self._shares = shares

    def keep(
        self,
        stream: Stream,
        error: SourceError | StoreError | None,
        began_s: float,
        *,
        found: int = 0,
        answers: int = 0,
    ) -> Standing:
        """Keep how a poll went that began at ``began_s`` of the monotonic clock: by ``error``, or well.

        It ``found`` so many changes with so many ``answers`` of the API.
        """
        before, watch = self._store.standing(stream), self._plan.watches[stream.resource]
        now_ms = self._tools.now_ms()
        began_ms = now_ms - int((time.monotonic() - began_s) * 1000)  # the clock may have been set since
        history, worth_s = before.history, None
        if error is None and watch.announces:
            history, worth_s = self._worth(before, found, answers, began_ms)
        elif self._shares:
            self._shares.failed(stream)
        standing = after_poll(
            before, watch, error, began_ms=began_ms, now_ms=now_ms, chance=random.random(), worth_s=worth_s
        )
        standing = replace(alarmed(standing, watch.slowest_s, now_ms), history=history)
        self._turn(before, standing, now_ms)
        return standing

    def suspend(self, before: Standing, reason: str) -> None:
        """Keep that a stream cannot be followed, though it was not polled."""
        now_ms = self._tools.now_ms()
        self._turn(before, alarmed(replace(before, suspended=True, error=reason), 0.0, now_ms), now_ms)
        log.warning("stream.suspended", stream=before.stream.name, reason=reason)

    def _worth(self, before: Standing, found: int, answers: int, began_ms: int) -> tuple[History, float | None]:
        """The history after a poll that went well, and, under a budget, when the next one is worth its requests."""
        if self._shares is None:
            return budget.after_poll(before.history, found, answers, began_ms / 1000), None
        self._shares.follow(before.stream, before.history, self._plan.watches[before.stream.resource])
        return self._shares.polled(before.stream, found, answers, began_ms)

    def _turn(self, before: Standing, after: Standing, now_ms: int) -> None:
        """Keep a stream's new standing, and tell what alarms it raises or ends."""
        orgs, watches, stream = self._plan.organizations, self._plan.watches, after.stream
        followed = stream.resource in watches and (orgs is None or stream.org in orgs)
        notices = raised(before, after, now_ms) if followed else ()
        outgoing = [one for notice in notices for one in self._tools.outgoing(notice)]
        self._store.schedule(after, outgoing, now_ms)
        self._tools.count_parked(outgoing)
        if outgoing:
            self._tools.wake()
        if before.failing_ms is not None and after.failing_ms is None:
            log.info("stream.recovered", stream=stream.name, down_s=(now_ms - before.failing_ms) // 1000)
        if after.silent_ms is not None and after.silent_ms != before.silent_ms:
            log.warning("stream.silent", stream=stream.name, since=format_time(after.progress.rhythm.changed_ms))
        elif before.silent_ms is not None and after.silent_ms is None:
            log.info("stream.changes_again", stream=stream.name)
