"""How long the machine kept this process from running: a busy one must fail no test that measures time."""

import threading
import time
from contextlib import contextmanager

BEAT_S = 0.02
NOTICED_S = 0.03


class Pauses:
    """``total_s`` so far: by how much short sleeps were too long, where it was not just a little."""

    total_s = 0.0

    def watch(self, stop):
        while not stop.is_set():
            began = time.monotonic()
            stop.wait(BEAT_S)
            late_s = time.monotonic() - began - BEAT_S
            if late_s > NOTICED_S:
                self.total_s += late_s


@contextmanager
def pauses():
    """Watch while the block lasts."""
    found, stop = Pauses(), threading.Event()
    thread = threading.Thread(target=found.watch, args=(stop,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
