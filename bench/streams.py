"""Many streams that stand still: what a poll of each costs, how soon the daemon is there, and its memory and CPU."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from api import api
from core import NEVER_S
from figures import Figure, Table, most, timed
from listing import EPOCH_MS, Scripted
from memory import peak_kb
from scrape import MEMORY

from poller import log
from poller.model import Stream
from poller.plan import Plan, Watch
from poller.service import Service
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Step
from poller.stores.sqlite import SqliteStore

NAMES = [name for name, row in RESOURCES.items() if not row.opt_in]
MANY = 20_000
EVERY_S = 600
REST_S = 5.0
SETTLE_S, WATCH_S = 10.0, 45.0
PATIENCE_S = 120.0
AT_LEAST_POLLS = 1000
CONFIG = """
[source]
token = {{ file = "{folder}/token" }}
base_url = "{url}/none/v1"
organizations = [{organizations}]
every = "{every_s}s"
sweep_every = "30d"
rate = 100
count_every = 1000000
[state]
path = "{folder}/poller.db"
"""


def point(count: int) -> dict[str, float]:
    """What so many streams cost: a poll of one, a start of the daemon, and its memory then."""
    with resting(count) as folder, api(0) as url:
        with _daemon(folder, url, count) as (process, ready_s):
            time.sleep(REST_S)  # the streams are planned once it is ready
            resident_mb = _resident_mb(process)
        command = [sys.executable, __file__, str(folder)]
        poll_us, _ = map(float, subprocess.run(command, check=True, capture_output=True).stdout.split())
    return {"poll of one, µs of CPU": poll_us, "to READY, ms": ready_s * 1000, "resident, MB": resident_mb}


def report() -> Table:
    """The daemon with many streams, each polled once in ten minutes."""
    with resting(MANY) as folder, api(0) as url, _daemon(folder, url, MANY) as (process, ready_s):
        time.sleep(SETTLE_S)
        before_s, began_s = _cpu_s(process), time.monotonic()
        time.sleep(WATCH_S)
        share = (_cpu_s(process) - before_s) / (time.monotonic() - began_s) * 100
        figures = [
            Figure("to READY, ms", {"measured": [ready_s * 1000]}, (most(5000),)),
            Figure("CPU, % of a core", {"measured": [share]}, (most(15),)),
            Figure("resident, MB", {"measured": [_resident_mb(process)]}, (most(250),)),
        ]
    return Table(f"Many streams: the daemon with {MANY:,}, each polled every ten minutes", figures)


def streams(count: int) -> list[Stream]:
    """So many, ten to an organization."""
    return [Stream(f"{place // len(NAMES):024x}", NAMES[place % len(NAMES)]) for place in range(count)]


@contextmanager
def resting(count: int) -> Iterator[Path]:
    """State in which so many streams were seen, are empty, and are next polled within the interval."""
    rng, now_ms = Random(1), time.time_ns() // 1_000_000
    with TemporaryDirectory(prefix="poller-bench-") as name, TemporaryDirectory(prefix="poller-", dir=MEMORY) as made:
        store = SqliteStore(Path(made) / "poller.db", "spaceinvoices")
        for stream in streams(count):
            standing = store.standing(stream)
            watermarks = {} if RESOURCES[stream.resource].parent else {"": EPOCH_MS}
            next_sweep_ms = now_ms + 30 * 86_400_000
            progress = replace(
                standing.progress, baselined_ms=EPOCH_MS, watermarks=watermarks, polls=1, next_sweep_ms=next_sweep_ms
            )
            store.commit(stream, Step(progress), EPOCH_MS)
            next_ms = now_ms + int(rng.random() * EVERY_S * 1000)
            store.schedule(replace(standing, next_poll_ms=next_ms, polled_ms=now_ms))
        store.close()
        shutil.copytree(made, name, dirs_exist_ok=True)
        yield Path(name)


@contextmanager
def _daemon(folder: Path, url: str, count: int) -> Iterator[tuple[int, float]]:
    """The daemon on that state: its process, and after how many seconds it was ready."""
    organizations = ", ".join(f'"{org}"' for org in sorted({stream.org for stream in streams(count)}))
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text("t" * 64)
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, url=url, organizations=organizations, every_s=EVERY_S))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        notify.settimeout(PATIENCE_S)
        began_s = time.perf_counter()
        command = [sys.executable, "-m", "poller", "--config", str(config), "run"]
        with subprocess.Popen(
            command,
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
                yield process.pid, time.perf_counter() - began_s
            finally:
                process.terminate()


def _resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _cpu_s(process: int) -> float:
    """CPU of a process, all its threads, so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _round(folder: Path) -> tuple[float, float]:
    """Poll every stream that has no parent, without HTTP: microseconds of CPU a poll; peak MB of the process."""
    watches = {name: Watch(row, EVERY_S, NEVER_S, 0.0, count_every=NEVER_S) for name, row in RESOURCES.items()}
    store = SqliteStore(folder / "poller.db", "spaceinvoices")
    service = Service(Plan(watches), Scripted(), store, {}, threading.Event())
    known = [standing.stream for standing in store.streams() if not RESOURCES[standing.stream.resource].parent]
    rounds = max(1, AT_LEAST_POLLS // len(known))
    with timed() as timing:
        for _ in range(rounds):
            for stream in known:
                service.poll(stream)
    service.close()
    return timing.cpu_s / (rounds * len(known)) * 1e6, peak_kb() / 1024


if __name__ == "__main__":
    log.configure("error")
    print(*_round(Path(sys.argv[1])))
