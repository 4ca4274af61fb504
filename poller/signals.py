"""The signals of the process, one after the other, for a main thread that waits for them."""

import os
import select
import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType


class Signals:
    """Catches signals; those that end the process set ``stopping``, and the second of them ends it at once.

    None is noticed late: one that comes just before the main thread begins to wait would not wake it by itself, but
    the byte that it writes does.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._came: SimpleQueue[int] = SimpleQueue()
        self._bell, self._ring = os.pipe()
        for end in (self._bell, self._ring):
            os.set_blocking(end, False)

    def catch(self, *numbers: int) -> None:
        """Begin to; called by the main thread."""
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._on_signal)

    def send(self, number: int) -> None:
        """As if the signal had come; called by any thread."""
        self._came.put(number)
        with suppress(BlockingIOError):  # it rings already
            os.write(self._ring, b"\0")

    def next(self, timeout_s: float) -> int | None:
        """The signal that came next, None if none does within the time.

        Of several that ask for a reload one is enough, and none is where the end was asked for.
        """
        found = self._took()
        if found is None:
            select.select([self._bell], [], [], timeout_s)
            with suppress(BlockingIOError):
                os.read(self._bell, 4096)
            found = self._took()
        while found == signal.SIGHUP and (more := self._took()) is not None:
            found = more
        return found

    def _took(self) -> int | None:
        with suppress(Empty):
            return self._came.get_nowait()
        return None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Say so by what takes no lock: the signal may have come while this very thread was holding it."""
        if number != signal.SIGHUP:
            if self.stopping:
                os._exit(128 + number)
            self.stopping = True
        self._came.put(number)
