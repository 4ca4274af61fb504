"""Commands to try it with, without an account or a receiver."""

import click

from poller.cli.shared import told
from poller.demo import demo as run_demo
from poller.leave import leave
from poller.listen import listen as run_listen


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8008, show_default=True)
@click.option("--secret", envvar="POLLER_LISTEN_SECRET", help="Verify signatures. Better by $POLLER_LISTEN_SECRET.")
def listen(port: int, secret: str | None) -> None:
    """Be a receiver: verify and print each event."""
    run_listen(port, secret)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same changes.")
@click.option("--rate", type=click.FloatRange(0.01, 100), default=2.0, show_default=True, help="Changes a second.")
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between polls.")
@told
def demo(seed: int, rate: float, every: float) -> None:
    """See it work on a simulated account.

    It changes all the time, and its events are printed as they come.
    """
    run_demo(seed=seed, rate=rate, every_s=every)
    leave(0)
