"""Commands that tell what there is to receive, without a configuration."""

import click
from tabulate import tabulate

from poller.model import Kind
from poller.notices import NOTICES
from poller.samples import example
from poller.sources.resources import RESOURCES, SOURCE, connector_name

TRIGGERS = {f"{row.singular}.{kind}": (row, kind) for row in RESOURCES.values() if not row.opt_in for kind in Kind}


@click.command()
def triggers() -> None:
    """List what there is to receive.

    With the names that connector platforms know the triggers by. Those that begin with poller. tell of poller itself,
    and go only where a route names them.
    """
    rows = [(name, connector_name(*row)) for name, row in TRIGGERS.items()]
    rows += [(name, row.title) for name, row in NOTICES.items()]
    click.echo(tabulate(rows, ("trigger", "known elsewhere as"), "simple"))


@click.command()
@click.argument("trigger", type=click.Choice([*TRIGGERS, *NOTICES]), metavar="TRIGGER")
def sample(trigger: str) -> None:
    """Print a full example event.

    TRIGGER is such as client.created; poller triggers lists them.
    """
    click.echo(example(SOURCE, trigger).body)
