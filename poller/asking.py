"""Asking the poller that runs: one request a connection, a line of JSON there, a line of JSON back.

It imports little, so that ``poller health`` is quick.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LONGEST = 1 << 20
_PIECE = 65536

TIMEOUT_S = 10.0
"""How long an answer is waited for that the poller has at hand."""
WORK_S = 600.0
"""How long work is waited for: to send a million deliveries again takes it half a minute."""


class NotRunning(Exception):
    """No poller listens for this state."""


def socket_path(database: Path) -> Path:
    """Where the poller of this database listens."""
    return database.with_name(f"{database.name}.sock")


def ask(database: Path, command: str, timeout_s: float | None = None, **request: object) -> dict[str, Any]:
    """What the running poller of this state answers to a command, in ``TIMEOUT_S`` if nothing else is said.

    Raises ``NotRunning``, ``PermissionError`` with words for a person, or another ``OSError``.
    """
    request = {"command": command, **request}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S if timeout_s is None else timeout_s)
        try:
            with short(socket_path(database)) as name:
                connection.connect(name)
            connection.sendall(json.dumps(request).encode() + b"\n")
            return line(connection)
        except (FileNotFoundError, NotADirectoryError, ConnectionError) as error:
            raise NotRunning from error
        except PermissionError as error:
            raise PermissionError(
                f"{database} is closed to this user: be the one that poller runs as, or root"
            ) from error


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for the socket within the 107 bytes that the system allows: by way of its folder if need be."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def line(connection: socket.socket) -> dict[str, Any]:
    """The object in the one line of JSON that the other side says."""
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
