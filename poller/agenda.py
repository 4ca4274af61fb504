"""What is to be done when: jobs by name, each carried out once by a thread of a pool. Times are wall-clock times.

APScheduler is the clock, with one job of its own: to look who is due at the moment when the next one is. A job for each
of many thousand streams would cost it a search through all of them for every turn.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock

import structlog
from apscheduler.executors.debug import DebugExecutor as InTheLoop
from apscheduler.executors.pool import ThreadPoolExecutor as JobPool
from apscheduler.schedulers.background import BackgroundScheduler

from poller.due import Due
from poller.meter import Meter

log = structlog.get_logger()

_LOOK = "agenda"


class Agenda:
    """Carries out what was put on it, by ``threads`` at once, from ``begin`` to ``end``.

    A thread that is through with one job goes on with the next that is due, the one that waits for longest.
    """

    def __init__(self, threads: int, meter: Meter | None = None) -> None:
        self._meter = meter or Meter()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            # A look is not in the loop: that holds the scheduler's lock, which whoever plans waits for. One look plans
            # the next while it still counts as an instance itself: at the limit, that one would be skipped.
            executors={"default": JobPool(1), "loop": InTheLoop()},
            job_defaults={"coalesce": True, "max_instances": 1_000_000, "misfire_grace_time": None},
        )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="agenda")
        self._free = threads
        self._lock = Lock()
        self._due = Due()
        self._jobs: dict[str, Callable[[], None]] = {}
        self._look_ms: int | None = None
        self._runs = False

    def begin(self) -> None:
        """Carry out what is due from now on."""
        self._scheduler.start()
        with self._lock:
            self._runs = True
            self._plan_look()

    def end(self) -> None:
        """Begin nothing more; does not wait for what is under way."""
        with self._lock:
            self._runs = False
        self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def at(self, time_ms: int, job: Callable[..., None], name: str, *arguments: object) -> None:
        """Do ``job`` then; what was planned under this name is replaced."""
        with self._lock:
            self._jobs[name] = partial(job, *arguments)
            self._due.put(name, time_ms)
            self._plan_look()

    def every(self, seconds: float, job: Callable[[], None], name: str) -> None:
        """Do ``job`` again and again in the agenda's own loop, which waits for it meanwhile."""
        self._scheduler.add_job(job, "interval", seconds=seconds, executor="loop", id=name)

    def drop(self, name: str) -> None:
        """Take what is planned under this name off again, if anything is."""
        with self._lock:
            self._jobs.pop(name, None)
            self._due.drop(name)

    def set_back(self, by_ms: int) -> None:
        """Plan anew what was planned by a clock that was set back by so much."""
        for job in self._scheduler.get_jobs():
            if job.id != _LOOK:
                job.modify(next_run_time=job.next_run_time - timedelta(milliseconds=by_ms))
        with self._lock:
            self._due.shift(-by_ms)
            self._look_ms = None
            self._plan_look()

    def _plan_look(self) -> None:
        """See to it that somebody looks when the next one is due; while no thread is free, they do so themselves."""
        next_ms = self._due.next_ms()
        if not self._runs or not self._free or next_ms is None:
            return
        if self._look_ms is None or next_ms < self._look_ms:
            self._look_ms = next_ms
            moment = datetime.fromtimestamp(next_ms / 1000, UTC)
            self._scheduler.add_job(self._look, "date", run_date=moment, id=_LOOK, replace_existing=True)

    def _look(self) -> None:
        with self._lock:
            self._look_ms = None
            while self._runs and self._free and (job := self._take()) is not None:
                self._free -= 1
                self._pool.submit(self._work, *job)
            self._plan_look()

    def _take(self) -> tuple[str, Callable[[], None]] | None:
        name = self._due.take(time.time_ns() // 1_000_000)
        return None if name is None else (name, self._jobs.pop(name))

    def _work(self, name: str, job: Callable[[], None]) -> None:
        """Carry out one job after the other, until none is due."""
        while True:
            try:
                job()
            except Exception:
                self._meter.count("defects", loop="agenda")
                log.exception("agenda.broken", job=name)
            with self._lock:
                taken = self._take() if self._runs else None
                if taken is None:
                    self._free += 1
                    self._plan_look()
                    return
            name, job = taken
