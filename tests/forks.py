"""Processes that begin with all libraries imported: in a fifth of the time that Python needs to import them anew.

A server imports the libraries, but nothing of poller, and forks for each process. What it forks is a process like any
other: with a pid, output, folder, environment, signals and an interpreter's end of its own; only its command line
and its name are the server's.
"""

import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from atexit import register
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import NoReturn

LIBRARIES = (
    "apscheduler.executors.debug",
    "apscheduler.executors.pool",
    "apscheduler.schedulers.background",
    "click.shell_completion",
    "httpcore",
    "httpx",
    "jmespath",
    "msgspec.json",
    "prometheus_client",
    "pydantic.json_schema",
    "sqlite_utils.migrations",
    "structlog",
    "tabulate",
    "waitress.server",
    "zstandard",
)
_NUMBER = struct.Struct("i")
_MOST_BYTES = 150_000


class Forked:
    """A process under way, with what the tests need of ``subprocess.Popen``. ``code`` is run, or else the module."""

    def __init__(self, code: str, arguments: list[str], folder: Path, env: dict[str, str], out: int, err: int) -> None:
        request = json.dumps([code, arguments, str(folder), env]).encode()
        self._wire, theirs = socket.socketpair()
        with theirs, _asking:
            socket.send_fds(_server(), [request], [theirs.fileno(), out, err])
        (self.pid,) = _NUMBER.unpack(self._wire.recv(4))
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self._code

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end, as ``subprocess.Popen`` does."""
        if self._code is None:
            self._wire.settimeout(timeout_s)
            try:
                (self._code,) = _NUMBER.unpack(self._wire.recv(4))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("poller", timeout_s or 0.0) from None
            self._wire.close()
        return self._code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


_asking = Lock()


@cache
def _server() -> socket.socket:
    """Where to ask for a process. The server ends with the tests, when nobody can ask it any more."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno())]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | SETTINGS
        server = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
        )

    def end() -> None:
        ours.close()
        server.wait(10)

    register(end)
    return ours


SETTINGS = {"PYTHONFAULTHANDLER": "1", "PYTHONWARNINGS": "error"}
"""What the environment says to Python itself, and what it says to all of these processes."""


def _serve(wire: socket.socket) -> tuple[str, list[str]]:
    """Fork for every request; returns in a new process, with what that has to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
    while True:
        request, files, *_ = socket.recv_fds(wire, _MOST_BYTES, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            wire.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            told, out, err = files
            if (pid := os.fork()) == 0:
                os.close(told)
                return _become(out, err, *json.loads(request))
            _watch(pid, told, out, err)
        for file in files:
            os.close(file)


def _watch(pid: int, told: int, *files: int) -> NoReturn:
    """Tell of a process which it is, and how it ended."""
    for file in files:
        os.close(file)
    os.write(told, _NUMBER.pack(pid))
    ended = _NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    with suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(told, ended)
    os._exit(0)


def _become(
    out: int, err: int, code: str, arguments: list[str], folder: str, env: dict[str, str]
) -> tuple[str, list[str]]:
    """Be as a process that was started with all this."""
    for file, place in ((out, 1), (err, 2)):
        os.dup2(file, place)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    return code, arguments


def _run(code: str, arguments: list[str]) -> None:
    sys.path[0] = ""
    sys.path.insert(1, os.environ["PYTHONPATH"])
    sys.argv = ["-c", *arguments]
    if code:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module("poller", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.path[0]  # nothing here is to be taken for a library
    for _library in LIBRARIES:
        import_module(_library)
    sys.path.insert(0, "")
    with socket.socket(fileno=int(sys.argv[1])) as _wire:
        _asked = _serve(_wire)
    _run(*_asked)
