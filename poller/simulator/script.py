"""The script of faults: which request is spoiled, and how."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from poller.simulator.http import Answer, Answerer, Request

Fault = Callable[[Request, Answerer], Answer]
"""Makes the answer to a request, with the proper answerer at hand. ``faults`` is the menu."""


@dataclass(slots=True)
class _Rule:
    fault: Fault
    path: re.Pattern[str]
    skip: int
    left: float


class Script:
    """What goes wrong when. Each rule counts only the requests whose path it matches.

    A ``path`` is a regular expression searched for in the request's path, upper and lower case alike.
    The first rule that is due wins. Requests are counted from the moment the rule was added.
    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._rules: list[_Rule] = []

    def at(self, nth: int, fault: Fault, path: str = "") -> None:
        """Spoil the ``nth`` request from now, counted from 1."""
        self._add(fault, path, nth - 1, 1)

    def next(self, fault: Fault, times: int = 1, path: str = "") -> None:
        """Spoil the next ``times`` requests."""
        self._add(fault, path, 0, times)

    def always(self, fault: Fault, path: str = "") -> None:
        """Spoil every request from now on."""
        self._add(fault, path, 0, float("inf"))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._rules.clear()

    def due(self, request: Request) -> Fault | None:
        """Count the request, and answer the fault it gets."""
        chosen: Fault | None = None
        with self._lock:
            for rule in [rule for rule in self._rules if rule.path.search(request.path)]:
                if rule.skip > 0:
                    rule.skip -= 1
                elif chosen is None:
                    rule.left -= 1
                    chosen = rule.fault
            self._rules = [rule for rule in self._rules if rule.left > 0]
        return chosen

    def _add(self, fault: Fault, path: str, skip: int, left: float) -> None:
        rule = _Rule(fault, re.compile(path, re.IGNORECASE), skip, left)
        with self._lock:
            self._rules.append(rule)
