"""How long it takes until the poller is there: ``poller --version``, and a daemon's first request."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure, Table

POLLER = [sys.executable, "-m", "poller"]
CONFIG = """
[source]
token = {{ file = "{folder}/token" }}
base_url = "http://127.0.0.1:{port}/v1"
[state]
path = "{folder}/poller.db"
"""


def report(runs: int) -> Table:
    """Milliseconds of the clock and of CPU."""
    figures = [
        Figure("python -c pass", _columns([_ended([sys.executable, "-c", "pass"]) for _ in range(runs)])),
        Figure("poller --version", _columns([_ended([*POLLER, "--version"]) for _ in range(runs)])),
        Figure("poller health", _columns([_ended([*POLLER, "health"], code=1) for _ in range(runs)])),
        Figure("daemon to its first request", _columns([_first_request() for _ in range(runs)])),
    ]
    return Table("Start-up: milliseconds", figures)


def _columns(samples: list[tuple[float, float]]) -> dict[str, list[float]]:
    return {"CPU": [cpu * 1000 for cpu, _ in samples], "time": [wall * 1000 for _, wall in samples]}


def _ended(command: list[str], code: int = 0) -> tuple[float, float]:
    """Run a command to its end, which this ``code`` is: seconds of CPU, and of the clock."""
    began_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise AssertionError(f"{command} failed")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began_s


def _first_request() -> tuple[float, float]:
    """Start a daemon on an API that says nothing, and end it as soon as it has asked."""
    with TemporaryDirectory(prefix="poller-bench-") as name, socket.create_server(("127.0.0.1", 0)) as api:
        folder = Path(name)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text("t" * 64)
        config = folder / "config.toml"
        config.write_text(CONFIG.format(folder=folder, port=api.getsockname()[1]))
        began_s = time.perf_counter()
        with subprocess.Popen([*POLLER, "--config", str(config), "run"], stderr=subprocess.DEVNULL) as process:
            api.settimeout(30)
            connection, _ = api.accept()
            with connection:
                connection.recv(1)
                wall_s = time.perf_counter() - began_s
                process.kill()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, wall_s
