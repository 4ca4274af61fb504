"""Commands that poll and deliver, and those to try it with."""

from functools import partial
from itertools import chain
from threading import Event

import click

from poller import daemon
from poller.actions import Connection
from poller.assembly import assemble, source
from poller.check import check as look_at
from poller.check import tried_connections
from poller.cli.shared import configuration, told
from poller.config import Config
from poller.connections import connections, used
from poller.demo import demo as run_demo
from poller.listen import listen as run_listen
from poller.once import Round, dry_run
from poller.once import once as run_once
from poller.progress import polled, progress


@click.command()
@click.option("--accept-state-loss", is_flag=True, help="Begin anew where the state is missing or damaged.")
@told
def run(*, accept_state_loss: bool) -> None:
    """Poll on a schedule and deliver at once, until stopped.

    The first poll of a stream is silent: it remembers what is there. SIGTERM or Ctrl-C finishes what is being
    sent, within 8 seconds; being killed at any moment loses nothing.
    """
    read = partial(configuration, secrets=True)
    config = read()
    service = assemble(config, accept_loss=accept_state_loss)
    least = sum(watch.announces for watch in config.plan().watches.values())
    with progress("first reading", polled(config.state.path, least)):
        daemon.run(config, service, read)
    daemon.leave(0)


@click.command()
@click.option("--sweep", is_flag=True, help="List everything and compare every record whole.")
@click.option("--dry-run", "dry", is_flag=True, help="Show the events; deliver nothing, keep nothing.")
@click.option("--accept-state-loss", is_flag=True, help="Begin anew where the state is missing or damaged.")
@told
def once(*, sweep: bool, dry: bool, accept_state_loss: bool) -> None:
    """Poll everything now, deliver what is due, end.

    Exits 0 only when all of it succeeded: every stream polled, nothing left to deliver.
    """
    config = configuration(secrets=True)
    if dry:
        with progress("polling"):
            went = dry_run(config, full=sweep, show=lambda event: click.echo(event.body))
    else:
        with progress("polling", polled(config.state.path)):
            went = run_once(config, full=sweep, accept_loss=accept_state_loss)
    click.echo(_summary(went), err=True)
    daemon.leave(0 if went.well else 1)


def _summary(went: Round) -> str:
    failed = "".join(f"\n  {standing.stream.name}: {standing.error}" for standing in went.failed)
    pending = f", {went.pending} deliveries still to be made" if went.pending else ""
    return f"{went.polled} streams polled, {len(went.failed)} failed{pending}{failed}"


@click.command()
@told
def check() -> None:
    """See whether all is right for a start.

    Looks at configuration, token and organizations, and asks each connection for something that changes nothing. On
    each resource it tries whether the API really honours the filters that changes are found by.
    """
    config = configuration(secrets=True)
    for table in config.sinks.values():
        table.sink().close()
    click.echo(f"ok       configuration: {len(config.plan().watches)} resources, sinks: {', '.join(config.sinks)}")
    well, stop = True, Event()
    for found in chain(look_at(source(config), config.plan()), tried_connections(_connections(config, stop), stop)):
        well = well and found.well is not False
        click.echo(f"{_WELL[found.well]:<8} {found.what}: {found.told}")
    daemon.leave(0 if well else 1)


def _connections(config: Config, stop: Event) -> dict[str, Connection]:
    """Those of the configuration, and those that its routes use."""
    ways = connections(config.connections, config.known_systems(), config.own_connection(), stop)
    return {name: way for name, way in ways.items() if name in {*config.connections, *used(config.route)}}


_WELL = {True: "ok", False: "FAILED", None: "unknown"}


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
    daemon.leave(0)


COMMANDS = (run, once, check)
TRIALS = (listen, demo)
