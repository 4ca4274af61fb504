"""What a service manager is told of the process: the protocol of ``sd_notify(3)``, a datagram a message.

Without ``NOTIFY_SOCKET`` nobody asked, and nothing is sent. A message that does not arrive is never an error: the
process does its work whether anybody watches or not.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_SEND_S = 1.0
"""How long a send may wait for a manager that does not read."""

_SHARE = 3
"""So many pings fit into the time after which the manager would end the process: two may be lost."""


class Notifier:
    """The way to the manager that ``environ`` names, which it leaves as it is.

    ``every_s`` is how often ``watchdog`` should be called, in seconds; None where nobody waits for it, or only for
    another process (``WATCHDOG_PID``).
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.every_s = _watchdog_s(environ) if self._address else None

    def ready(self) -> None:
        """The process does what it is there for, from now on, or again after ``reloading``."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A new configuration is being read; ``ready`` says when that is over, well or not."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The process is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """How it goes, on one line for people: ``systemctl status`` shows it."""
        self._send("STATUS=" + "".join(sign if sign.isprintable() else " " for sign in text))

    def watchdog(self) -> None:
        """All is well: without this for too long, the process is taken to stand still, and is started anew."""
        if self.every_s is not None:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(_SEND_S)
            way.sendto("\n".join(lines).encode(), self._address)


def _address(named: str) -> str:
    """The address of a socket: a path, or, after an ``@``, a name in Linux' abstract space."""
    if named.startswith("@"):
        return "\0" + named[1:]
    return named if named.startswith("/") else ""


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 / _SHARE if usec.isdecimal() and int(usec) else None
