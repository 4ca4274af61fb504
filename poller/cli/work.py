"""Commands that ask the API and end."""

from contextlib import closing
from itertools import chain
from threading import Event

import click

from poller.actions import Connection
from poller.assembly import sink, source
from poller.check import check as look_at
from poller.check import tried_connections
from poller.cli.shared import configuration, told
from poller.config import Config
from poller.connections import connections, used
from poller.leave import leave
from poller.once import Round, dry_run
from poller.once import once as run_once
from poller.progress import polled, progress


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
    leave(0 if went.well else 1)


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
    for name, table in config.sinks.items():
        sink(name, table).close()
    if config.http.listen is not None:
        config.http.revealed()
    click.echo(f"ok       configuration: {len(config.plan().watches)} resources, sinks: {', '.join(config.sinks)}")
    well, stop = True, Event()
    with closing(source(config)) as api:
        for found in chain(look_at(api, config.plan()), tried_connections(_connections(config, stop), stop)):
            well = well and found.well is not False
            click.echo(f"{_WELL[found.well]:<8} {found.what}: {found.told}")
    leave(0 if well else 1)


def _connections(config: Config, stop: Event) -> dict[str, Connection]:
    """Those of the configuration, and those that its routes use."""
    ways = connections(config.connections, config.known_systems(), config.own_connection(), stop)
    return {name: way for name, way in ways.items() if name in {*config.connections, *used(config.route)}}


_WELL = {True: "ok", False: "FAILED", None: "unknown"}
