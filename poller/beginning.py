"""A first configuration, small and commented, from a few answers."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from poller.config import ConfigError, load
from poller.settings import SettingError
from poller.shown import value

_PLACE = re.compile(r"(env|file|credential):(.+)")


class Answers(NamedTuple):
    """What is to be in it; ``token`` and ``secret`` are places such as ``env:NAME``, empty for none."""

    token: str
    every: str
    webhook: str
    secret: str
    state: str


def place(text: str) -> dict[str, str]:
    """The place of a secret in the words of the configuration; raises ``SettingError``."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise SettingError("a secret is named by its place: env:NAME, file:/path or credential:name")
    return {found[1]: found[2]}


def text(answers: Answers) -> str:
    """The file."""
    lines = [
        "# The configuration of poller. Every key there is, with its default: config.example.toml",
        "",
        "[source]",
        "# Where the API key is kept; it is never written here.",
        f"token = {value(place(answers.token))}",
        "# How often each resource of each organization is asked for changes.",
        f"every = {value(answers.every)}",
        "",
        "[state]",
        "# What is remembered. On a local disk.",
        f"path = {value(answers.state)}",
        "",
    ]
    return "\n".join([*lines, *_sink(answers)]) + "\n"


def _sink(answers: Answers) -> list[str]:
    if not answers.webhook:
        return ["# One event a line on the standard output.", "[sinks.stdout]", 'kind = "stdout"']
    lines = ["# A POST for each event.", "[sinks.webhook]", 'kind = "webhook"', f"url = {value(answers.webhook)}"]
    if answers.secret:
        lines += [
            "# What signs the requests; poller secret new makes one.",
            f"secret = {value(place(answers.secret))}",
        ]
    return lines


def begin(path: Path, answers: Answers) -> None:
    """Write the file, if it is not there yet, and only if it can be loaded.

    Raises ``FileExistsError``, another ``OSError``, ``SettingError`` or ``ConfigError``.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    made = text(answers)
    try:
        part.write_text(made)
        try:
            load(part)
        except ConfigError as error:
            raise ConfigError("", list(error.problems)) from None
        os.link(part, path)  # refuses to replace what is there
    finally:
        part.unlink(missing_ok=True)
