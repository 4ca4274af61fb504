"""Answers that many may ask for and that cost something: each is made anew only when it is old."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

SHORTEST_S = 1.0
SHARE = 20
"""An answer is kept for so many times as long as it took: making it takes a twentieth of the time at most."""
MOST = 16


class Fresh(Generic[_Key, _Value]):
    """Values by key, made by ``make``; ``clock`` gives seconds that only rise. One is made at a time."""

    def __init__(self, make: Callable[[_Key], _Value], clock: Callable[[], float]) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[float, _Value]] = OrderedDict()

    def __call__(self, key: _Key) -> _Value:
        """The value of a key, a second old or older if it took long to make; raises what making it does."""
        with self._lock:
            began_s = self._clock()
            until_s, value = self._kept.get(key, (began_s, None))
            if value is not None and began_s < until_s:
                return value
            value = self._make(key)
            ended_s = self._clock()
            self._kept[key] = ended_s + max(SHORTEST_S, (ended_s - began_s) * SHARE), value
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            return value

    def forget(self) -> None:
        """Make all of them anew: something was changed."""
        with self._lock:
            self._kept.clear()
