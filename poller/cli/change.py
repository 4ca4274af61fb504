"""Commands on a changed configuration."""

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from poller import control, prospect
from poller.changes import changes
from poller.cli.shared import ask, configuration, fail, told, where
from poller.config import Config, ConfigError, load
from poller.outline import Known, Outline
from poller.sketch import sketch
from poller.stores import reading
from poller.stores.opening import NoStateError

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
        fail(f"no poller runs on {path}: a start reads the configuration; another [state] path needs a restart", 1)
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


@click.command()
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW.toml")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@told
def plan(new: Path, *, as_json: bool) -> None:
    """Tell what the configuration NEW.toml would do in place of the present one.

    Nothing is changed. The present one is that of the poller that runs, or else the file that a start would read;
    what is remembered is looked up in its state. Exits 78 where NEW.toml cannot be used.
    """
    after = load(new)
    after.check_secrets(str(new))
    path = _state(after)
    found = changes(_present(path), sketch(after), _known(path))
    click.echo(msgspec.json.encode(found.told()) if as_json else prospect.text(found))


def _state(after: Config) -> Path:
    """The state of the present configuration; where there is none, or none that can be read, that of the new one."""
    try:
        return where()[0]
    except ConfigError:
        return after.state.path


def _present(path: Path) -> Outline | None:
    """The configuration in force, or else the one that a start would read; None where that cannot be used."""
    try:
        return msgspec.convert(ask(path, "outline"), Outline)
    except control.NotRunning:
        pass
    try:
        return sketch(configuration())
    except ConfigError:
        return None


def _known(path: Path) -> Known:
    """What the state knows; nothing where there is none yet."""
    try:
        with reading.View(path) as view:
            waiting = {backlog.sink: backlog.pending for backlog in view.backlogs()}
            held = {row["route"]: row["held"] for row in view.held()}
            return Known(view.address(), view.streams(), waiting, held)
    except NoStateError:
        return Known()
