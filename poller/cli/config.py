"""Commands on the configuration itself."""

import sys
from pathlib import Path

import click
import msgspec

from poller.cli.shared import configuration, fail, told

_PLACE = "env:NAME, file:/path or credential:name"


@click.group()
def config() -> None:
    """Begin, show and describe the configuration."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors.

    Editors that know taplo complete and check a config.toml that begins with: #:schema ./poller.schema.json
    """
    from poller.schema import schema as made  # noqa: PLC0415 - other commands do without

    click.echo(msgspec.json.format(msgspec.json.encode(made()), indent=2))


@config.command()
@told
def show() -> None:
    """Print the values in force, as TOML.

    Secrets are shown by where they are kept, URLs of receivers and proxies by scheme and host.
    """
    from poller.shown import toml  # noqa: PLC0415 - other commands do without

    click.echo(toml(configuration()), nl=False)


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="config.toml")
@click.option("--token", metavar="PLACE", help=f"Where the API key is kept: {_PLACE}.")
@click.option("--every", help="How often everything is asked for changes, such as 1m.")
@click.option("--webhook", metavar="URL", help="Where events are sent; without it, to the standard output.")
@click.option("--secret", metavar="PLACE", help=f"Where the secret that signs them is kept: {_PLACE}.")
@click.option("--state", metavar="PATH", help="Where the database is to be.")
@told
def init(file: Path, **given: str | None) -> None:
    """Write a small configuration to FILE, or config.toml.

    In a terminal it asks for what no option says; elsewhere that is as it is without a configuration. A FILE that is
    there is left as it is. Then: poller check.
    """
    from poller import beginning  # noqa: PLC0415 - other commands do without

    if file.exists():
        fail(f"{file} is there already; name another file, or remove it", 1)
    answers = beginning.Answers(**_answered(given))
    try:
        beginning.begin(file, answers)
    except FileExistsError:
        fail(f"{file} is there already; name another file, or remove it", 1)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", 1)
    click.echo(f"{file} is written; now: poller --config {file} check", err=True)


_ASKED = {
    "token": (f"Where is the API key kept? {_PLACE}", "env:SPACE_INVOICES_TOKEN"),
    "every": ("How often is everything asked for changes?", "1m"),
    "webhook": ("Where are events sent? A URL; nothing for the standard output", ""),
    "secret": (f"Where is the secret kept that signs them? {_PLACE}; nothing for none", ""),
    "state": ("Where is the database to be?", "state/poller.db"),
}


def _answered(given: dict[str, str | None]) -> dict[str, str]:
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    answers: dict[str, str] = {}
    for name, (question, default) in _ASKED.items():
        known = given[name]
        if known is None and asks and (name != "secret" or answers["webhook"]):
            known = click.prompt(question, default=default, err=True, show_default=bool(default))
        answers[name] = default if known is None else str(known)
    return answers
