"""One configuration at work: which streams are polled and when, and the sinks that are emptied meanwhile."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import structlog

from poller.agenda import Agenda
from poller.allotment import REPRICE_S
from poller.config import Config
from poller.control import Command
from poller.deliver import drain
from poller.model import Stream
from poller.operations import operations
from poller.schedule import CEILING_S, first_poll_ms, next_poll_ms
from poller.service import DRAIN_S, Service, wall_ms
from poller.shares import Move
from poller.sources import Denied, SourceError
from poller.stores import StoreError

log = structlog.get_logger()

LOOK_UP_RETRY_S = 30.0
STORE_RETRY_S = 30.0

ABANDON_S = 1.0
"""How long a poll that was abandoned is waited for: it notices at its next look at the network."""

_LOOK_UP = "organizations"
_REPRICE = "budget"


class Generation:
    """A service at work, from ``begin`` to ``end``; the next one may begin on the same store then.

    ``config`` is what the service was made of.
    """

    def __init__(self, config: Config, service: Service, agenda: Agenda) -> None:
        self.config = config
        self.service = service
        self._agenda = agenda
        self._followed: set[Stream] = set()
        self._drains: list[threading.Thread] = []
        self._adopted = False
        self._ends = False
        self._under_way = 0
        self._idle = threading.Condition()

    def begin(self) -> None:
        """Empty the sinks, and poll what is due."""
        self._drains = [
            threading.Thread(target=drain, args=(queue, self.service.stop), name=f"drain-{queue.name}", daemon=True)
            for queue in self.service.drains
        ]
        for thread in self._drains:
            thread.start()
        self._at(wall_ms(), self._look_up, _LOOK_UP)

    def end(self, polls_s: float, sends_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Begin nothing more, and let what is under way come to its end; the store stays open.

        After ``polls_s``, or once there is reason to ``hurry``, polls are abandoned: what they did not commit did
        not happen. After ``sends_s`` sends are: what they carried stays due.
        """
        with self._idle:
            self._ends = True
            followed, self._followed = self._followed, set()
        for name in (_LOOK_UP, _REPRICE, *(stream.name for stream in followed)):
            self._agenda.drop(name)
        self._wait(polls_s, hurry)
        self.service.stop.set()
        self.service.wake()
        self._wait(ABANDON_S)
        for thread in self._drains:
            thread.join(DRAIN_S)
        self.service.end(sends_s, hurry)

    def _wait(self, timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Until nothing of the network is under way, or the time is over."""
        until = time.monotonic() + timeout_s
        with self._idle:
            while self._under_way and not hurry() and (left_s := until - time.monotonic()) > 0:
                self._idle.wait(min(left_s, 0.1))

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Count as under way; False where nothing is to begin any more."""
        with self._idle:
            self._under_way += 1
            goes_on = not self._ends
        try:
            yield goes_on
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _at(self, time_ms: int, job: Callable[..., None], name: str, *arguments: object) -> None:
        """Plan it, but not once this generation ends: the next one's plans have the same names."""
        with self._idle:
            if not self._ends:
                self._agenda.at(time_ms, job, name, *arguments)

    def _look_up(self) -> None:
        """See which organizations there are; again later, sooner if that failed."""
        with self._turn() as goes_on:
            if not goes_on:
                return
            every_s = self.config.source.organizations_every
            wait_s = min(every_s, LOOK_UP_RETRY_S)
            try:
                self._adopt()
                orgs = {organization.id for organization in self.service.source.organizations()}
                self._unfollow(orgs)
                self._follow(orgs)
                self.service.sight.kept()
                wait_s = every_s
            except (SourceError, StoreError) as error:
                wait_s = CEILING_S if isinstance(error, Denied) else wait_s
                if not self.service.stop.is_set():
                    self.service.sight.lose(error, wall_ms())
                    log.warning("organizations.failed", reason=str(error), wait_s=wait_s)
            finally:
                self._at(wall_ms() + int(wait_s * 1000), self._look_up, _LOOK_UP)

    def _adopt(self) -> None:
        """Make the state this configuration's, once, and go on with what it knows before the API was asked."""
        if not self._adopted:
            self.service.adopt()
            self._follow({standing.stream.org for standing in self.service.store.streams() if not standing.suspended})
            self._adopted = True
            hint = "they wait until a sink has that name again"
            for sink, pending in self.service.unknown_sinks().items():
                log.warning("sink.unknown", sink=sink, pending=pending, hint=hint)

    def _follow(self, orgs: Iterable[str]) -> None:
        new = [stream for stream in self.service.streams(orgs) if stream not in self._followed]
        # The state may be locked: then they are new once more at the next look.
        for standing in self.service.store.enter(new) if new else ():
            stream, watch = standing.stream, self.service.plan.watches[standing.stream.resource]
            if self.service.shares:
                self.service.shares.follow(stream, standing.history, watch)
            now_ms, spread_s, chance = wall_ms(), len(new) / self.config.source.rate, random.random()
            first_ms = first_poll_ms(standing, watch, now_ms=now_ms, spread_s=spread_s, chance=chance)
            self._followed.add(stream)
            self._at(first_ms, self._poll, stream.name, stream)
        if new and self.service.shares:
            self._at(wall_ms(), self._reprice, _REPRICE)

    def _unfollow(self, orgs: set[str]) -> None:
        self.service.suspend_unseen(orgs)
        for stream in [stream for stream in self._followed if stream.org not in orgs]:
            self._followed.discard(stream)
            if self.service.shares:
                self.service.shares.leave(stream)

    def _reprice(self) -> None:
        """Under a budget: find out anew what a request is worth, and when each stream is worth one."""
        with self._turn() as goes_on:
            shares, wait_s = self.service.shares, REPRICE_S
            if not (goes_on and shares):
                return
            try:
                before = shares.missing
                moves, wait_s = shares.reprice(wall_ms(), self.service.source.rate())
                if shares.missing and not before:
                    hint = "a higher source.budget or a longer source.max_interval; until then streams wait longer"
                    log.warning("budget.small", takes=f"{shares.missing:.3g}/s", hint=hint)
                self._move(moves)
            finally:
                self._at(wall_ms() + int(wait_s * 1000), self._reprice, _REPRICE)

    def _move(self, moves: Iterable[Move]) -> None:
        for stream, time_ms in moves:
            if stream in self._followed:
                self._at(time_ms, self._poll, stream.name, stream)

    def _poll(self, stream: Stream) -> None:
        with self._turn() as goes_on:
            if goes_on and stream in self._followed:
                shares = self.service.shares
                with shares.polling(stream) if shares else nullcontext():
                    self._poll_and_plan(stream)
                if shares:
                    self._move(shares.siblings(stream, wall_ms()))
                    if stream not in self._followed:  # any more
                        shares.leave(stream)

    def _poll_and_plan(self, stream: Stream) -> None:
        next_ms = wall_ms() + int(CEILING_S * 1000)
        try:
            standing = self.service.poll(stream)
            next_ms = next_poll_ms(standing, self.service.plan.watches[stream.resource], now_ms=wall_ms())
        except StoreError as error:
            self.service.strain.stall(error, STORE_RETRY_S)
            next_ms = wall_ms() + int(STORE_RETRY_S * 1000)
            if not self.service.stop.is_set():
                log.warning("stream.stalled", stream=stream.name, reason=str(error))
        finally:
            if stream in self._followed:
                self._at(next_ms, self._poll, stream.name, stream)

    def operations(self) -> dict[str, Command]:
        """What an operator may do, after each of which everything looks for what it has to do."""
        every = operations(self.service.store, wall_ms, self.service.plan)
        return {name: self._then_look(operation) for name, operation in every.items()}

    def _then_look(self, operation: Command) -> Command:
        def command(**request: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever came over the socket
            answer = operation(**request)
            if answer.get("found") and "stream" in request:
                self._look_at(request["stream"])
            self.service.wake()
            return answer

        return command

    def _look_at(self, name: str) -> None:
        """Poll the stream of this name now; where none is followed, see whether its organization is back."""
        for stream in list(self._followed):
            if stream.name == name:
                self._at(wall_ms(), self._poll, stream.name, stream)
                return
        self._at(wall_ms(), self._look_up, _LOOK_UP)
