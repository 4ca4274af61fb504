"""What is to be done when: jobs by name, each carried out once by a thread of a pool. Times are wall-clock times."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor as InTheLoop
from apscheduler.executors.pool import ThreadPoolExecutor as JobPool
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler


class Agenda:
    """Carries out what was put on it, by ``threads`` at once, from ``begin`` to ``end``."""

    def __init__(self, threads: int) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": JobPool(threads), "loop": InTheLoop()},
            # A poll plans the next one while it still counts as an instance itself: at the limit, one that is due at
            # once would be skipped, and the stream forgotten. Two polls of a stream are kept apart by ``Tools.turns``.
            job_defaults={"coalesce": True, "max_instances": 1_000_000, "misfire_grace_time": None},
        )

    def begin(self) -> None:
        """Carry out what is due from now on."""
        self._scheduler.start()

    def end(self) -> None:
        """Begin nothing more; does not wait for what is under way."""
        self._scheduler.shutdown(wait=False)

    def at(self, time_ms: int, job: Callable[..., None], name: str, *arguments: object) -> None:
        """Do ``job`` then; what was planned under this name is replaced."""
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        self._scheduler.add_job(job, "date", arguments, run_date=moment, id=name, replace_existing=True)

    def every(self, seconds: float, job: Callable[[], None], name: str) -> None:
        """Do ``job`` again and again in the agenda's own loop, which waits for it meanwhile."""
        self._scheduler.add_job(job, "interval", seconds=seconds, executor="loop", id=name)

    def drop(self, name: str) -> None:
        """Take what is planned under this name off again, if anything is."""
        with suppress(JobLookupError):
            self._scheduler.remove_job(name)

    def set_back(self, by_ms: int) -> None:
        """Plan anew what was planned by a clock that was set back by so much."""
        for job in self._scheduler.get_jobs():
            with suppress(JobLookupError):  # it has just begun
                job.modify(next_run_time=job.next_run_time - timedelta(milliseconds=by_ms))
