"""Signs of life: which loop turned when, which polls are under way, and whether the database answers.

Those who live tell it; the watchdog, ``poller health`` and ``/healthz`` ask it. What the world does is no trouble: a
send is not watched, and a poll has the time that an API takes which does not answer at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, get_ident
from time import monotonic

LOOP_S = 90.0
"""Within this time each loop turns: an idle drain does so every 30 s, and a turn may wait for the database."""

DATABASE_S = 5.0
"""Within this time the database answers."""

POLL_BUDGETS = 3
"""So many times its budget a poll may go without a sign."""


@dataclass(slots=True)
class _Poll:
    stream: str
    budget_s: float
    moved_s: float


class Pulse:
    """All methods may be called from any thread. ``clock`` gives seconds that nobody can set."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._turned_s: dict[str, float] = {}
        self._polls: dict[int, _Poll] = {}
        self._asked_s: float | None = None
        self._answer = ""

    def turned(self, loop: str) -> None:
        """A loop of this name turns; from now on it has to do so again and again, until ``ended``."""
        with self._lock:
            self._turned_s[loop] = self._clock()

    def ended(self, loop: str) -> None:
        """A loop has come to its proper end, and will not turn any more."""
        with self._lock:
            self._turned_s.pop(loop, None)

    @contextmanager
    def polling(self, stream: str, budget_s: float) -> Iterator[None]:
        """A poll by this thread. ``budget_s`` is the longest that it should go without ``moved``, in seconds."""
        with self._lock:
            self._polls[get_ident()] = _Poll(stream, budget_s, self._clock())
        try:
            yield
        finally:
            with self._lock:
                del self._polls[get_ident()]

    def moved(self) -> None:
        """The poll by this thread, if there is one, got a step further."""
        with self._lock:
            if poll := self._polls.get(get_ident()):
                poll.moved_s = self._clock()

    def asked(self) -> None:
        """The database is asked, now; ``answered`` has to follow."""
        with self._lock:
            self._asked_s = self._clock()

    def answered(self, trouble: str = "") -> None:
        """The database answered, or could not, for this reason."""
        with self._lock:
            late = self._asked_s is not None and self._clock() - self._asked_s > DATABASE_S
            self._asked_s = None
            self._answer = trouble or (_silent() if late else "")

    def trouble(self) -> str:
        """What stands still, in words; empty while all is well."""
        with self._lock:
            now_s = self._clock()
            loops = [
                f"{loop} stands still for {now_s - turned_s:.0f} s"
                for loop, turned_s in self._turned_s.items()
                if now_s - turned_s > LOOP_S
            ]
            polls = [
                f"the poll of {poll.stream} stands still for {now_s - poll.moved_s:.0f} s"
                for poll in self._polls.values()
                if now_s - poll.moved_s > POLL_BUDGETS * poll.budget_s
            ]
            waits = self._asked_s is not None and now_s - self._asked_s > DATABASE_S
            database = _silent() if waits else self._answer
        return "; ".join(filter(None, [*loops, database, *polls]))


def _silent() -> str:
    return f"the database did not answer within {DATABASE_S:g} s"
