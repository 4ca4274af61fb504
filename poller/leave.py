"""How a process ends whose threads may still wait."""

import os
from typing import NoReturn

from poller.log import flush


def leave(code: int) -> NoReturn:
    """End the process now: a poll that waits for the network is abandoned, nothing of it was committed.

    What went to standard output was flushed then: now it might wait for a reader who does not read.
    """
    flush()
    os._exit(code)
