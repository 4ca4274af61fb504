"""The daemon: threads, signals, start, reload and stop."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

import msgspec
import structlog

from poller import __version__
from poller.agenda import Agenda
from poller.config import Config
from poller.control import Command, Control, socket_path
from poller.front import Front
from poller.generation import Generation
from poller.leave import leave
from poller.metrics import render, scrape_of
from poller.notify import Notifier
from poller.reload import Refused, Reloaded, renewed, warn
from poller.report import Running
from poller.service import DRAIN_S, POLL_THREADS, Service, wall_ms
from poller.settings import SettingError
from poller.signals import Signals
from poller.sketch import sketch
from poller.stores import StoreError
from poller.stores.opening import OpeningError
from poller.watchdog import Watchdog
from poller.web import Answered, Inside, Status

log = structlog.get_logger()

TIDY_EVERY_MS = 600_000

RELOAD_POLLS_S = 10.0
"""How long a reload waits for polls under way; then they are abandoned, and made again by the new configuration."""
RELOAD_SENDS_S = 30.0
"""How long a reload waits for sends under way; then they are abandoned, and what they carried stays due."""

CLOCK_LOOK_S = 5.0
"""How often it is looked whether the clock was set back."""
ADJUSTED_MS = 1000
"""A clock that goes back by no more is one that is being adjusted."""


class Daemon:
    """Polls on a schedule and delivers at once, until a signal; by SIGHUP, under the configuration as it is then.

    ``read`` gives that, checked, with every secret readable; without it SIGHUP ends the process.
    """

    def __init__(
        self,
        config: Config,
        service: Service,
        *,
        read: Callable[[], Config] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._database = config.state.path
        self._store = service.store
        self._read = read
        self._notifier = notifier or Notifier()
        self._agenda = Agenda(POLL_THREADS, service.meter)
        self._generation = Generation(config, service, self._agenda)
        self._signals = Signals()
        self._asked = 0  # for reloads, by way of the socket
        self._answered = 0
        self.reloaded: Reloaded | None = None
        self._watchdog = Watchdog(
            self._notifier, lambda: self._generation.service, self._database, lambda: self._refused
        )
        self._front = Front(self._inside())

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish what is under way. A second signal ends the process."""
        self._signals.catch(SIGTERM, SIGINT, *([SIGHUP] if self._read else []))
        control = self._control()
        self._show(control)
        self._agenda.begin()
        self._generation.begin()
        self._agenda.at(wall_ms(), self._tidy, "tidying")
        self._agenda.every(self._watchdog.every_s, self._watchdog.beat, "watchdog")
        self._watchdog.beat()
        self._notifier.ready()
        log.info("poller.started", version=__version__, sinks=self._sinks())
        while self._next_signal() == SIGHUP:
            self._reload()
        self._notifier.stopping()
        self._front.close()
        control.close()
        self._agenda.end()
        self._generation.end(0.0, DRAIN_S)
        self._store.close()
        log.info("poller.stopped")

    def _sinks(self) -> list[str]:
        return [queue.name for queue in self._generation.service.drains]

    def _control(self) -> Control:
        path = socket_path(self._database)
        try:
            return Control(path, self._commands(), self._generation.service.meter)
        except OSError as error:
            self._generation.service.close()
            raise OpeningError(f"{path} cannot be made: {error.strerror}; see [state] path") from error

    def _show(self, control: Control) -> None:
        try:
            self._front.follow(self._generation.config.http)
        except SettingError:
            control.close()
            self._generation.service.close()
            raise

    def _inside(self) -> Inside:
        """What the endpoint is told: of the generation that is at work when it asks."""
        status = Status(self._database, lambda: self._generation.service.plan.watches, self._running, wall_ms)
        return Inside(
            health=lambda: str(self._ping()["trouble"]),
            ready=status.ready,
            status=status,
            metrics=self._metrics,
            operations=self._operations(),
            sinks=self._sinks,
            changed=status.forget,
            meter=self._generation.service.meter,
        )

    def _running(self) -> Running:
        return Running.of(self._ping())

    def _metrics(self, accept: str) -> Answered:
        generation = self._generation
        organizations = generation.config.http.organizations
        scrape = scrape_of(generation.service, self._database, self.reloaded, organizations=organizations)
        return Answered(*render(scrape, accept))

    def _next_signal(self) -> int:
        offset_ms = _offset_ms()
        while (number := self._signals.next(CLOCK_LOOK_S)) is None:
            before_ms, offset_ms = offset_ms, _offset_ms()
            if offset_ms < before_ms - ADJUSTED_MS:
                self._set_back(before_ms - offset_ms)
        return number

    def _set_back(self, by_ms: int) -> None:
        """Plan anew what was planned by a clock that was set back, else all would stand still for as long."""
        log.warning("clock.set_back", by_s=round(by_ms / 1000))
        self._agenda.set_back(by_ms)
        try:
            self._store.set_back(by_ms, wall_ms())
        except StoreError as error:
            log.warning("clock.failed", reason=str(error))
        self._generation.service.wake()

    def _reload(self) -> None:
        """Go on under the configuration as it is now, or, where that cannot be used, as before."""
        asked = self._asked
        self._notifier.reloading()
        try:
            self._swap()
        except Refused as error:
            self._tell(Reloaded(ok=False, at_ms=wall_ms(), error=str(error)))
        else:
            self._tell(Reloaded(ok=True, at_ms=wall_ms()))
        self._answered = asked
        self._notifier.ready()

    @property
    def _refused(self) -> str:
        refused = self.reloaded is not None and not self.reloaded.ok
        return "the configuration was refused when it was read anew" if refused else ""

    def _tell(self, reloaded: Reloaded) -> None:
        self.reloaded = reloaded
        self._generation.service.meter.count("reloads", outcome="ok" if reloaded.ok else "failed")
        if reloaded.ok:
            log.info("configuration.reloaded", sinks=self._sinks())
        else:
            log.error("configuration.refused", reason=reloaded.error, hint="the old one stays; mend it, reload again")

    def _swap(self) -> None:
        """Build the whole new generation first, and end the old one only then; raises ``Refused``."""
        assert self._read is not None  # noqa: S101 - else the signal is not caught
        config, service = renewed(self._read, self._generation.config, self._generation.service)
        try:
            self._front.follow(config.http)
        except SettingError as error:
            service.end(0.0)
            raise Refused(str(error)) from error
        warn(self._generation.config, config)
        self._generation.end(RELOAD_POLLS_S, RELOAD_SENDS_S, lambda: self._signals.stopping)
        self._generation = Generation(config, service, self._agenda)
        if not self._signals.stopping:
            self._generation.begin()

    def _tidy(self) -> None:
        try:
            self._generation.service.tidy(self._generation.config.state.keeping())
        except StoreError as error:
            if not self._signals.stopping:
                log.warning("tidying.failed", reason=str(error))
        finally:
            if not self._signals.stopping:
                self._agenda.at(wall_ms() + TIDY_EVERY_MS, self._tidy, "tidying")

    def _commands(self) -> dict[str, Command]:
        """What the socket takes."""
        return {"ping": self._ping, "reload": self._ask_to_reload, "outline": self._outline} | self._operations()

    def _operations(self) -> dict[str, Command]:
        return {name: partial(self._operate, name) for name in self._generation.operations()}

    def _ping(self) -> dict[str, Any]:
        service = self._generation.service
        return {
            "pid": os.getpid(),
            "pressed": service.pressed,
            "trouble": service.pulse.trouble(),
            "resources": list(service.plan.watches),
            "reloaded": self.reloaded and asdict(self.reloaded),
            "answered": self._answered,
            "requests": service.requests()._asdict(),
            "lost": service.sight.lost and asdict(service.sight.lost),
        }

    def _outline(self) -> dict[str, Any]:
        """What the configuration in force is."""
        plain: dict[str, Any] = msgspec.to_builtins(sketch(self._generation.config))
        return plain

    def _ask_to_reload(self) -> dict[str, Any]:
        """Have it done soon; it is, once ``ping`` has ``answered`` what this has ``asked``."""
        if self._read is None:
            return {"error": "it was started without a configuration that could be read anew"}
        self._asked += 1
        self._signals.send(SIGHUP)
        return {"asked": self._asked}

    def _operate(self, name: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever came over the socket
        return self._generation.operations()[name](**request)


def _offset_ms() -> int:
    """How far the clock of the machine is ahead of one that nobody can set."""
    return wall_ms() - time.monotonic_ns() // 1_000_000


def run(config: Config, service: Service, read: Callable[[], Config] | None = None) -> None:
    """Run the daemon until a signal; ``read`` gives the configuration anew.

    A defect ends the process: its threads alone would go on for ever, deaf to signals.
    """
    daemon = Daemon(config, service, read=read)
    try:
        daemon.run()
    except (OpeningError, SettingError, StoreError):
        raise
    except Exception:
        log.critical("poller.broken", exc_info=True)
        leave(1)
