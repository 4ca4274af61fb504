"""The demo: a simulated account that changes all the time, and the daemon against it."""

import os
import random
import tempfile
import threading
import time
from pathlib import Path

import click

from poller import daemon
from poller.assembly import assemble
from poller.config import load
from poller.service import Service
from poller.simulator.account import Account
from poller.simulator.history import History
from poller.simulator.server import Simulator

_RECORDS = 20
_TOKEN_VARIABLE = "POLLER_DEMO_TOKEN"  # noqa: S105 - a name, not a secret

_CONFIG = """
[source]
token = {{ env = "{variable}" }}
base_url = "{url}"
every = "{every_s}s"
sweep_every = "{sweep_s}s"
rate = 100

[state]
path = "{folder}/poller.db"
"""


def demo(*, seed: int, rate: float, every_s: float) -> None:
    """Run until interrupted: ``rate`` changes a second, looked for every ``every_s``."""
    account = Account(organizations=1, seed=seed)
    history = History(account, random.Random(seed))
    history.populate(_RECORDS)
    os.environ[_TOKEN_VARIABLE] = account.token
    with Simulator(account) as simulator, tempfile.TemporaryDirectory(prefix="poller-demo-") as folder:
        path = Path(folder) / "config.toml"
        path.write_text(
            _CONFIG.format(
                variable=_TOKEN_VARIABLE, url=simulator.url, every_s=every_s, sweep_s=5 * every_s, folder=folder
            )
        )
        config = load(path)
        click.echo(f"A simulated account on {simulator.url}: {rate:g} changes a second. Ctrl-C ends it.", err=True)
        service = assemble(config)
        threading.Thread(target=_change, args=(service, history, rate), name="demo", daemon=True).start()
        daemon.run(config, service)


def _change(service: Service, history: History, rate: float) -> None:
    """Change the account once every stream has its silent baseline."""
    while not service.stop.is_set():
        standings = service.store.streams()
        if standings and all(standing.progress.baselined_ms for standing in standings):
            break
        time.sleep(0.1)
    while not service.stop.wait(1 / rate):
        history.step()
