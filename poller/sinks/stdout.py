"""Events as lines on standard output: for a pipe, a container's log, or a look."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Literal

from poller.model import Delivered, Delivery, Later, Outcome
from poller.sinks import SinkConfig


class Config(SinkConfig):
    """A sink of kind ``stdout``; there is nothing to set."""

    kind: Literal["stdout"] = "stdout"

    def sink(self) -> "Stdout":
        """Make the sink; standard output need not be open yet."""
        return Stdout()


class Stdout:
    """Writes each event on a line of its own, and flushes after each batch."""

    concurrency = 1
    batch_size = 100
    batch_wait_s = 0.0
    careful = False

    def __init__(self) -> None:
        self._failed = False

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Write the batch; when the reader is gone or the disk is full, all of it is for later."""
        start = b"\n" if self._failed else b""  # that may have left half a line
        try:
            _write(start + b"".join(delivery.body + b"\n" for delivery in batch))
        except (OSError, ValueError, AttributeError) as error:  # the latter two: closed, or never open
            self._failed = True
            return [Later(f"standard output cannot be written: {error}")] * len(batch)
        self._failed = False
        return [Delivered()] * len(batch)

    def close(self) -> None:
        """Leave standard output open, but let nothing that it did not take disturb Python's exit."""
        if self._failed:
            self._failed = False
            _drop_rest()


def _write(data: bytes) -> None:
    """Write all of it; where Python does not buffer (PYTHONUNBUFFERED), one call may take a part only, or nothing."""
    rest = memoryview(data)
    while rest:
        taken = sys.stdout.buffer.write(rest)
        if not taken:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[taken:]
    sys.stdout.buffer.flush()


def _drop_rest() -> None:
    # What is left in the buffer would fail once more at exit. The Python manual's remedy ("Note on SIGPIPE").
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
