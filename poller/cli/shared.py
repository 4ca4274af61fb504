"""What the commands share: the configuration, errors as messages, and how an operation reaches the state."""

import os
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from poller import control, log
from poller.config import Config, ConfigError, find, load
from poller.operations import operations
from poller.places import state
from poller.service import wall_ms
from poller.settings import SettingError
from poller.sources import SourceError
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores import StoreError, reading
from poller.stores.opening import OpeningError
from poller.stores.sqlite import SqliteStore

BAD_CONFIG = 78
STATE_TROUBLE = 74


def told(function: Callable[..., None]) -> Callable[..., None]:
    """Turn expected errors into a message and the documented exit code."""

    @wraps(function)
    def command(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - whatever click gives
        try:
            function(*arguments, **options)
        except (ConfigError, SettingError) as error:
            fail(str(error), BAD_CONFIG)
        except OpeningError as error:
            fail(str(error), error.exit_code)
        except StoreError as error:
            fail(str(error), STATE_TROUBLE)
        except SourceError as error:
            fail(str(error), 1)

    return command


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with this exit code."""
    click.echo("\n".join(f"poller: {line}" for line in message.splitlines()), err=True)
    raise SystemExit(code)


def configuration(*, secrets: bool = False) -> Config:
    """The configuration that was asked for; with ``secrets`` each of them is seen to be readable, and never shown."""
    path = find(click.get_current_context().find_root().params["config"], os.environ)
    config = load(path)
    if secrets:
        config.check_secrets(str(path or ""))
        log.hide(config.hidden())
    return config


def where() -> tuple[Path, ConfigError | None]:
    """Where the state is; by a configuration that is wrong elsewhere too, which may be mended while a poller runs."""
    try:
        return configuration().state.path, None
    except ConfigError as error:
        return state(find(click.get_current_context().find_root().params["config"], os.environ)), error


def configured() -> Config | None:
    """The configuration, where there is any."""
    try:
        find(click.get_current_context().find_root().params["config"], os.environ)
    except ConfigError:
        return None
    return configuration()


def ask(path: Path, command: str, **request: object) -> dict[str, Any]:
    """What the poller that runs answers; raises ``control.NotRunning``."""
    try:
        answer = control.ask(path, command, **request)
    except OSError as error:
        fail(f"the running poller does not answer: {error}", 1)
    if "error" in answer:
        fail(f"the running poller could not do it: {answer['error']}", 1)
    return answer


def carry_out(name: str, **request: object) -> dict[str, Any]:
    """Have the running poller carry out an operation, or, where none runs, do so under the lock."""
    config = configuration()
    path = config.state.path
    try:
        return ask(path, name, **request)
    except control.NotRunning:
        with reading.View(path):
            pass  # a state that is not there is not made
        with closing(SqliteStore(path, SpaceInvoices.name)) as store:
            store.keep_shapes(config.shapes())
            return operations(store, wall_ms, config.plan())[name](**request)
