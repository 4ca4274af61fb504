"""The daemon's local socket: how a command of the same user reaches a poller that runs.

One request a connection: a line of JSON in, a line of JSON out. The socket lies beside the database,
for its owner alone.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import structlog

from poller.asking import NotRunning, ask, line, short, socket_path
from poller.log import clean
from poller.meter import Meter
from poller.stores import StoreError

__all__ = ["Command", "Control", "NotRunning", "ask", "socket_path"]

log = structlog.get_logger()

_TIMEOUT_S = 10.0

ACCEPT_RETRY_S = 1.0
"""How long it rests where nobody can be let in."""

Command = Callable[..., dict[str, Any]]


class Control:
    """Listens from the making of this value until ``close``, and answers by ``commands``; raises ``OSError``.

    Each command is carried out by a thread of its own: however long one takes, others are answered meanwhile.
    """

    def __init__(self, path: Path, commands: Mapping[str, Command], meter: Meter | None = None) -> None:
        self._path = path
        self._commands = commands
        self._meter = meter or Meter()
        self._closed = Event()
        self._socket = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        umask = os.umask(0o177)
        try:
            with short(path) as name:
                self._socket.bind(name)
        except OSError:
            self._socket.close()
            raise
        finally:
            os.umask(umask)
        self._socket.listen(8)
        Thread(target=self._listen, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread that accepts
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
                Thread(target=self._serve, args=(connection,), name="control-answer", daemon=True).start()
            except (OSError, RuntimeError) as error:
                if self._closed.wait(ACCEPT_RETRY_S):
                    return
                log.warning("control.full", reason=str(error))  # too many open files, or threads, say: that passes

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_TIMEOUT_S)
            try:
                connection.sendall(json.dumps(self._answer(line(connection))).encode() + b"\n")
            except OSError as error:
                log.warning("control.lost", reason=str(error))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = self._commands.get(str(request.pop("command", "")))
        if command is None:
            return {"error": "this poller does not know that command; is it of the same version?"}
        try:
            return command(**request)
        except StoreError as error:
            return {"error": clean(str(error))}
        except Exception as error:
            self._meter.count("defects", loop="control")
            log.exception("control.failed")
            return {"error": clean(f"{type(error).__name__}: {error}")}
