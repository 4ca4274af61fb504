"""A restart with much to remember: how long until the daemon is ready, and the memory that it then takes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from figures import Figure, Table, most

from poller.simulator.account import Account
from poller.simulator.server import Simulator
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Standing, reading

POLLER = [sys.executable, "-m", "poller"]
NAMES = [name for name, row in RESOURCES.items() if not row.opt_in]
CONFIG = """
[source]
token = {{ file = "{folder}/token" }}
base_url = "{url}"
every = "1s"
sweep_every = "5s"
rate = 100
[state]
path = "{folder}/poller.db"
"""
PATIENCE_S = 120.0


class Restart(NamedTuple):
    """One restart: seconds to READY; MB resident after a poll of every stream, and at most after a sweep of each."""

    ready_s: float
    polled_mb: float
    swept_mb: float


def report(records: int, runs: int) -> Table:
    """Milliseconds from the start of the process to READY, and resident MB."""
    account = Account()
    org = account.organizations[0]
    lists = account.bulk_create(org, "price_lists", 1)
    for name in NAMES:
        account.bulk_create(org, name, records // len(NAMES), parent=lists[0] if name == "prices" else "")
    with Simulator(account) as api, TemporaryDirectory(prefix="poller-bench-") as name:
        folder = Path(name)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(account.token)
        (folder / "config.toml").write_text(CONFIG.format(folder=folder, url=api.url))
        command = [*POLLER, "--config", str(folder / "config.toml")]
        subprocess.run([*command, "once"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        restarts = [_restart(folder, [*command, "run"]) for _ in range(runs)]
    return Table(
        f"Restart with {records:,} marks in {len(NAMES)} streams",
        [
            Figure("to READY, ms", {"measured": [restart.ready_s * 1000 for restart in restarts]}, (most(2000),)),
            Figure(
                "resident after a poll of each, MB",
                {"measured": [restart.polled_mb for restart in restarts]},
                (most(90),),
            ),
            Figure(
                "peak after a sweep of each, MB", {"measured": [restart.swept_mb for restart in restarts]}, (most(90),)
            ),
        ],
    )


def _restart(folder: Path, command: list[str]) -> Restart:
    path = folder / "notify.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(PATIENCE_S)
        before, began_s = _standings(folder), time.perf_counter()
        environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
                ready_s = time.perf_counter() - began_s
                _until(folder, lambda name, now: (now.polled_ms or 0) > (before[name].polled_ms or 0))
                polled_mb = _status_mb(process.pid, "VmRSS")
                _until(folder, lambda name, now: now.progress.sweeps > before[name].progress.sweeps)
                return Restart(ready_s, polled_mb, _status_mb(process.pid, "VmHWM"))
            finally:
                process.terminate()


def _standings(folder: Path) -> dict[str, Standing]:
    with reading.View(folder / "poller.db") as view:
        return {standing.stream.name: standing for standing in view.streams() if standing.stream.resource in NAMES}


def _until(folder: Path, done: Callable[[str, Standing], bool]) -> None:
    """Wait until that holds of every stream."""
    ends_s = time.monotonic() + PATIENCE_S
    while not all(done(name, standing) for name, standing in _standings(folder).items()):
        if time.monotonic() > ends_s:
            raise AssertionError("the daemon does not get on")
        time.sleep(0.1)


def _status_mb(process: int, field: str) -> float:
    """A line of /proc/PID/status, which is in kB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
