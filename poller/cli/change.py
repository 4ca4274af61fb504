"""Commands on a changed configuration."""

import time
from pathlib import Path
from typing import Any

import click

from poller import control
from poller.cli.shared import ask, fail, told, where

_LOOK_S = 0.1
PATIENCE_S = 120.0
"""How long a reload is waited for: longer than one takes that waits for polls and sends."""


@click.command()
@told
def reload() -> None:
    """Have the poller that runs take up the changed configuration.

    It is read and checked whole, and takes effect between two polls. Exits 1 where it cannot be used: then the poller
    goes on under the old one. SIGHUP does the same without telling how it went.
    """
    path, _ = where()
    try:
        asked = ask(path, "reload")["asked"]
        reloaded = _answer(path, asked)
    except control.NotRunning:
        fail("no poller runs on this state; its next start reads the configuration", 1)
    if not reloaded["ok"]:
        fail(f"the old configuration stays in force:\n{reloaded['error']}", 1)
    click.echo("the configuration is in force")


def _answer(path: Path, asked: int) -> dict[str, Any]:
    """How the reload went that was ``asked`` for."""
    until = time.monotonic() + PATIENCE_S
    while (found := ask(path, "ping"))["answered"] < asked:
        if time.monotonic() > until:
            fail(f"not over within {PATIENCE_S:.0f} s; poller status will tell how it went", 1)
        time.sleep(_LOOK_S)
    reloaded: dict[str, Any] = found["reloaded"]
    return reloaded


COMMANDS = (reload,)
