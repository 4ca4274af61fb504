"""The command that stays."""

from functools import partial

import click

from poller import daemon
from poller.assembly import assemble
from poller.cli.shared import configuration, place, told
from poller.leave import leave
from poller.progress import polled, progress


@click.command()
@click.option("--accept-state-loss", is_flag=True, help="Begin anew where the state is missing or damaged.")
@told
def run(*, accept_state_loss: bool) -> None:
    """Poll on a schedule and deliver at once, until stopped.

    The first poll of a stream is silent: it remembers what is there. SIGTERM or Ctrl-C finishes what is being
    sent, within 8 seconds; being killed at any moment loses nothing.
    """
    read = partial(configuration, place(), secrets=True)  # a reload looks for no other file
    config = read()
    service = assemble(config, accept_loss=accept_state_loss)
    least = sum(watch.announces for watch in config.plan().watches.values())
    with progress("first reading", polled(config.state.path, least)):
        daemon.run(config, service, read)
    leave(0)
