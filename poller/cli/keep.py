"""Commands that look after the state, and make secrets."""

from pathlib import Path

import click

from poller import signing
from poller.cli.shared import state_path, told
from poller.progress import progress, written
from poller.stores import reading


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@told
def backup(file: Path) -> None:
    """Write a consistent, checked copy of the state to FILE.

    While poller runs, too. FILE is there whole or not at all. To restore it, stop poller, put FILE in the
    place of the database without its -wal and -shm files, and start with --accept-state-loss.
    """
    path = state_path()
    part = file.with_name(f"{file.name}.part")
    with reading.View(path) as view, progress("copying", written(part, path)):
        view.backup(file)
    click.echo(f"{file}: {file.stat().st_size / (1 << 20):.1f} MiB, checked")


@click.command()
@told
def verify() -> None:
    """Look for damage in the state, and for what must not be.

    Checks the database's own integrity, and every invariant of what is remembered; names each violation.
    """
    with reading.View(state_path()) as view, progress("looking at everything"):
        found = list(view.violations())
    for violation in found:
        click.echo(violation)
    click.echo(f"{len(found)} violations" if found else "the state is well", err=True)
    raise SystemExit(1 if found else 0)


@click.group()
def secret() -> None:
    """Make secrets for webhooks."""


@secret.command()
@click.option("--ed25519", is_flag=True, help="A key pair: the receiver needs the public half only.")
@told
def new(*, ed25519: bool) -> None:
    """Print a new secret. Keep it where the configuration says; it is stored nowhere else.

    To rotate without downtime, name it first in sinks.NAME.secrets beside the old one with its not_after,
    give it to the receiver, then take the old one out.
    """
    if not ed25519:
        click.echo(signing.new_secret())
        return
    pair = signing.new_pair()
    click.echo(pair.secret)
    click.echo(f"public, for the receiver: {pair.public}", err=True)
