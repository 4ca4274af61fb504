"""Commands on routes: what they make of an event, whether that is as expected, and what actions there are."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from poller import catalogue, explanation
from poller.actions import System, systems
from poller.cli import complete
from poller.cli.shared import configuration, configured, fail, told
from poller.comparison import differences, event_of
from poller.config import Config
from poller.connections import veiled_connections
from poller.expected import ExpectedTable
from poller.explain import Making, event_in, explain
from poller.nearest import nearest
from poller.plan import Plan, Route
from poller.route import matches
from poller.samples import example
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores import reading
from poller.trial import trial
from poller.triggers import EVERY, trigger_named

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_FILE = click.option(
    "--file",
    type=click.Path(allow_dash=True, path_type=Path),
    help="The event in a file, as poller sample prints it; - is the standard input.",
)


@click.command(name="explain")
@click.argument("event", required=False, shell_complete=complete.TRIGGER_NAMES)
@_FILE
@_AS_JSON
@told
def explain_(event: str | None, file: Path | None, *, as_json: bool) -> None:
    """Show what each route makes of an event, and why.

    EVENT is the id of one in the state, or a trigger such as client.created, which stands for its example. Nothing is
    sent, and requests are shown without their secrets.
    """
    if (event is None) == (file is None):
        raise click.UsageError("say which event: by its id, by a trigger, or by --file")
    config = configuration()
    body = _named(config, event) if event is not None else _read(file)
    verdicts = explain(config.plan(), _making(config), body)
    shown = explanation.plain(body, verdicts) if as_json else None
    click.echo(explanation.text(verdicts) if shown is None else msgspec.json.encode(shown))


@click.command(name="try")
@click.argument("route", shell_complete=complete.ROUTES)
@click.option("--event", help="The id of an event in the state, or a trigger, which stands for its example.")
@_FILE
@click.option("--last", is_flag=True, help="The newest event in the state that the route is on.")
@click.option("--send", is_flag=True, help="Send it for real, once; nothing is kept of that.")
@told
def try_(route: str, event: str | None, file: Path | None, *, last: bool, send: bool) -> None:
    """Show what one route makes of an event, or send it.

    Without one it is the example of a trigger that ROUTE is on. Exits 0 only if it is sent, or could be.
    """
    if sum((event is not None, file is not None, last)) > 1:
        raise click.UsageError("--event, --file and --last exclude each other")
    config = configuration(secrets=send)
    plan = _alone(config.plan(), route)
    [tried] = plan.routes
    if last:
        body = _last(config, tried)
    elif file is not None:
        body = _read(file)
    else:
        body = _named(config, event or next(name for name in EVERY if matches(tried, name)))
    [verdict] = explain(plan, _making(config), body)
    click.echo(explanation.text([verdict]))
    well = verdict.makes
    if send and verdict.taken:
        for sent in trial(config, route, body):
            click.echo(explanation.outcome(*sent))
            well = well and sent.well
    raise SystemExit(0 if well else 1)


@click.command(name="test")
@click.argument("name", required=False)
@told
def test_(name: str | None) -> None:
    """Carry out the tests of the configuration, or the one of this NAME.

    Each [[test]] is an event and what the routes are to make of it. Nothing is sent.
    """
    config = configuration()
    chosen = [table for table in config.test if name in (None, table.name)]
    if not chosen:
        names = [table.name for table in config.test]
        fail(f'there is no test "{name}"{nearest(name, names)}' if name else "the configuration has no [[test]]", 1)
    plan, making, failed = config.plan(), _making(config), 0
    for table in chosen:
        found = _tested(plan, making, table)
        failed += bool(found)
        click.echo("\n".join([f"{'FAILED' if found else 'ok':<8} {table.name}", *(f"{'':8} {line}" for line in found)]))
    click.echo(f"{len(chosen)} tests, {failed} failed", err=True)
    raise SystemExit(1 if failed else 0)


@click.command()
@click.argument("system", required=False)
@_AS_JSON
@told
def actions(system: str | None, *, as_json: bool) -> None:
    """List what can be done, in all systems or in one.

    With the inputs of each action, those that are required with a star, and what a repeat of it does. Systems of the
    configuration are among them, where there is one.
    """
    known = _systems()
    chosen = [
        one
        for one in known.values()
        if system is None or system.casefold() in (one.name.casefold(), one.title.casefold())
    ]
    if not chosen:
        fail(f'there is no system "{system}"{nearest(system or "", list(known))}', 1)
    click.echo(msgspec.json.encode(catalogue.plain(chosen)) if as_json else catalogue.text(chosen))


def _systems() -> Mapping[str, System]:
    config = configured()
    return systems() if config is None else config.known_systems()


def _making(config: Config) -> Making:
    ways = veiled_connections(config.connections, config.known_systems(), config.own_connection())
    return Making(config.ways().shapes, ways, config.source.origin)


def _tested(plan: Plan, making: Making, table: ExpectedTable) -> list[str]:
    """What is not as a test expects."""
    try:
        body = _example(table.event) if table.event is not None else event_in((table.file or Path()).read_bytes())
    except OSError as error:
        return [f"file {table.file} cannot be read: {error.strerror or error}"]
    except ValueError as error:
        return [f"file {table.file} {error}"]
    return differences(table, explain(plan, making, event_of(table, body)))


def _named(config: Config, name: str) -> bytes:
    """The event of a trigger's example, or of an id in the state."""
    trigger = trigger_named(name)
    if trigger in EVERY:
        return _example(trigger)
    if not name.startswith("evt_"):
        fail(f'"{name}" is no trigger, and no id of an event{nearest(name, EVERY)}', 1)
    with reading.View(config.state.path) as view:
        found = view.event(name)
    if found is None:
        fail(f"there is no event {name} in the state; poller events shows those that there are", 1)
    return found.body


def _example(trigger: str) -> bytes:
    return example(SpaceInvoices.name, trigger).body


def _read(file: Path | None) -> bytes:
    try:
        return event_in(sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes())
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}", 1)
    except ValueError as error:
        fail(f"{file} {error}", 1)


def _last(config: Config, route: Route) -> bytes:
    with reading.View(config.state.path) as view:
        found = [event for pattern in route.on for event in view.last(pattern, 1)]
    if not found:
        fail(f"there is no event yet that route {route.name} is on", 1)
    return max(found, key=lambda event: event.sequence).body


def _alone(plan: Plan, name: str) -> Plan:
    """The plan with one route only."""
    found = tuple(route for route in plan.routes if route.name == name)
    if not found:
        names = [route.name for route in plan.routes]
        fail(f'there is no route "{name}"{nearest(name, names)}', 1)
    return replace(plan, routes=found)
