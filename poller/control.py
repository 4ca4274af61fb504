"""The daemon's local socket: how a command of the same user reaches a poller that runs.

One request a connection: a line of JSON in, a line of JSON out. The socket lies beside the database,
for its owner alone.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import structlog

from poller.log import clean

log = structlog.get_logger()

_LONGEST = 1 << 20
_PIECE = 65536
_TIMEOUT_S = 10.0

Command = Callable[..., dict[str, Any]]


class NotRunning(Exception):
    """No poller listens for this state."""


def socket_path(database: Path) -> Path:
    """Where the poller of this database listens."""
    return database.with_name(f"{database.name}.sock")


class Control:
    """Listens from the making of this value until ``close``, and answers by ``commands``; raises ``OSError``."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._socket = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        umask = os.umask(0o177)
        try:
            with _short(path) as name:
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
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread that accepts
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_TIMEOUT_S)
                try:
                    connection.sendall(json.dumps(self._answer(_line(connection))).encode() + b"\n")
                except OSError as error:
                    log.warning("control.lost", reason=str(error))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = self._commands.get(str(request.pop("command", "")))
        if command is None:
            return {"error": "this poller does not know that command; is it of the same version?"}
        try:
            return command(**request)
        except Exception as error:
            log.exception("control.failed")
            return {"error": clean(f"{type(error).__name__}: {error}")}


def ask(database: Path, command: str, **request: object) -> dict[str, Any]:
    """Have the running poller of this state carry out a command; raises ``NotRunning``."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            with _short(socket_path(database)) as name:
                connection.connect(name)
            connection.sendall(json.dumps({"command": command, **request}).encode() + b"\n")
            return _line(connection)
        except (FileNotFoundError, ConnectionError) as error:
            raise NotRunning from error


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for the socket within the 107 bytes that the system allows: by way of its folder if need be."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _line(connection: socket.socket) -> dict[str, Any]:
    text = b""
    while not text.endswith(b"\n") and len(text) < _LONGEST:
        piece = connection.recv(_PIECE)
        if not piece:
            break
        text += piece
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"error": "that was not one line of JSON"}
    return found if isinstance(found, dict) else {}
