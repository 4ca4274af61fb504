"""What the commands share: the configuration, errors as messages, and how the one that runs is asked."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from poller import control, log
from poller.config import Config, ConfigError, find, load
from poller.places import state
from poller.settings import SettingError
from poller.sources import SourceError
from poller.stores import StoreError
from poller.stores.opening import OpeningError

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


def place() -> Path | None:
    """The configuration file that was asked for, as ``find`` has it."""
    return find(click.get_current_context().find_root().params["config"], os.environ)


def configuration(path: Path | None = None, *, secrets: bool = False) -> Config:
    """The configuration in ``path``, else the one that was asked for.

    With ``secrets`` each of them is seen to be readable, and never shown.
    """
    path = path or place()
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
        return state(place()), error


def state_path() -> Path:
    """Where the state is, for commands that need no more; that the configuration is wrong is said beside it."""
    path, wrong = where()
    if wrong:
        warn(wrong)
    return path


def warn(wrong: ConfigError) -> None:
    """Say what is wrong with a configuration that can be done without for now."""
    click.echo(f"the configuration cannot be used as it is now:\n{wrong}", err=True)


def configured() -> Config | None:
    """The configuration, where there is any."""
    try:
        place()
    except ConfigError:
        return None
    return configuration()


def ask(path: Path, command: str, timeout_s: float | None = None, **request: object) -> dict[str, Any]:
    """What the poller that runs answers; raises ``control.NotRunning``."""
    try:
        answer = control.ask(path, command, timeout_s, **request)
    except PermissionError as error:
        fail(str(error), 1)
    except OSError as error:
        fail(f"the running poller does not answer: {error}", 1)
    if "error" in answer:
        fail(f"the running poller could not do it: {answer['error']}", 1)
    return answer
