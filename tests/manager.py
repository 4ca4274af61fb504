"""A service manager as a process sees it: a datagram socket that takes what is said."""

import socket
import time
from pathlib import Path
from typing import Self

from process import eventually


class Manager:
    """Listens at ``address``, a path or ``@`` and a name; ``said`` is every message so far, ``env`` names it."""

    def __init__(self, address: Path | str, *, watchdog_s: float | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + str(address)[1:] if str(address).startswith("@") else str(address))
        self._socket.settimeout(0)
        self._said: list[str] = []
        self._last_ping_s = time.monotonic()
        self.env = {"NOTIFY_SOCKET": str(address)}
        if watchdog_s is not None:
            self.env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def said(self) -> list[str]:
        while True:
            try:
                self._said.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return self._said
            if self._said[-1] == "WATCHDOG=1":
                self._last_ping_s = time.monotonic()

    @property
    def pings(self) -> int:
        return self.said.count("WATCHDOG=1")

    @property
    def status(self) -> str:
        """The last word on how it goes."""
        told = [one.removeprefix("STATUS=") for one in self.said if one.startswith("STATUS=")]
        return told[-1] if told else ""

    def is_pinged(self, times: int = 3) -> bool:
        """Wait for so many more pings."""
        before = self.pings
        return bool(eventually(lambda: self.pings >= before + times))

    def is_left_alone(self, span_s: float = 3.0) -> bool:
        """Wait until there was no ping for that long."""
        return bool(eventually(lambda: self.said and time.monotonic() - self._last_ping_s > span_s))
