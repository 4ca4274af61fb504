"""Commands on what waits: parked and held things, replays, pauses."""

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import click
import msgspec

from poller import asking, control, report
from poller.cli import complete
from poller.cli.pattern import TriggerPattern
from poller.cli.shared import ask, configuration, fail, state_path, told, warn, where
from poller.operations import operations, plain
from poller.progress import progress
from poller.service import wall_ms
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores import Decision, reading
from poller.stores.selection import Selection
from poller.stores.sqlite import SqliteStore

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


class Moment(click.ParamType[int]):
    """A date as in 2026-11-01 or 2026-11-01T12:00:00Z, in UTC; milliseconds since 1970."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Read the date."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-11-01 or 2026-11-01T12:00:00Z", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)


_SELECTION: tuple[Options, ...] = (
    click.option("--sink", shell_complete=complete.SINKS, help="Only deliveries of this sink."),
    click.option("--id", "event_id", help="Only this event."),
    click.option("--route", shell_complete=complete.ROUTES, help="Only what went through the route of this name."),
    click.option(
        "--trigger",
        type=TriggerPattern(),
        shell_complete=complete.TRIGGER_NAMES,
        help="Only triggers of this pattern, such as client.*",
    ),
    click.option("--record", help="Only events of the record of this id."),
    click.option("--since", "since_ms", type=Moment(), help="Only events recorded then or later."),
    click.option("--until", "until_ms", type=Moment(), help="Only events recorded before then."),
)


def _selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    return reduce(lambda wrapped, option: option(wrapped), reversed(_SELECTION), function)


@click.group()
def dead() -> None:
    """Look at, retry or drop parked deliveries.

    A delivery is parked when its event was refused to the end, or waited in vain for too long.
    """


@dead.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="As one JSON list.")
@_selecting
@told
def dead_list(*, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401 - the fields of a Selection
    """List parked deliveries, oldest first."""
    with reading.View(state_path()) as view:
        found = view.parked(Selection(**wanted))
    click.echo(msgspec.json.encode(found) if as_json else report.parked_text(found) or "no deliveries are parked")


@dead.command(name="show")
@click.argument("event_id")
@told
def dead_show(event_id: str) -> None:
    """Show an event whole, and how its deliveries stand."""
    with reading.View(state_path()) as view:
        event, deliveries = view.event(event_id), view.deliveries(event_id)
    if event is None:
        fail(f"there is no event {event_id}; poller dead list names those that are parked", 1)
    click.echo(event.body)
    click.echo(report.deliveries_text(deliveries), err=True)


@dead.command(name="retry")
@_selecting
@told
def dead_retry(**wanted: Any) -> None:  # noqa: ANN401 - the fields of a Selection
    """Send parked deliveries again, behind what is pending.

    They go out with the same id and the same bytes; those of a route that was mended since, by what it says now.
    """
    _again(["parked"], Selection(**wanted))


@dead.command(name="drop")
@_selecting
@click.confirmation_option(prompt="Forget these deliveries for good?")
@told
def dead_drop(**wanted: Any) -> None:  # noqa: ANN401 - the fields of a Selection
    """Forget parked deliveries for good."""
    count = _carry_out("drop", selection=plain(Selection(**wanted)))["count"]
    click.echo(f"{count} parked deliveries are forgotten")


@click.command()
@click.argument("event_id", required=False)
@click.option("--sink", shell_complete=complete.SINKS, help="Only those of this sink.")
@told
def retry(event_id: str | None, sink: str | None) -> None:
    """Send parked deliveries again.

    All of them, or those of one sink or of one event; poller dead has more ways to choose. They go out with
    the same id and the same bytes.
    """
    _again(["parked"], Selection(sink=sink, event_id=event_id))


def _again(states: list[str], selection: Selection) -> None:
    with progress("choosing what is sent again"):
        count = _carry_out("again", states=states, selection=plain(selection))["count"]
    _see(selection, count)
    click.echo(f"{count} deliveries will be sent again")
    raise SystemExit(0 if count else 1)


def _see(selection: Selection, count: int) -> None:
    """That nothing was found for a sink of no such name is said: it was mistyped."""
    name = selection.sink
    if count or not name:
        return
    path, _ = where()
    with reading.View(path) as view:
        known = {backlog.sink for backlog in view.backlogs()}
    if name not in known and name not in _sinks(path):
        fail(f"there is no sink {name}; poller sinks names them", 1)


@click.command()
@_selecting
@click.option("--destructive", is_flag=True, help="Also do again what cannot be undone.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say how many there are.")
@told
def replay(*, dry: bool, **wanted: Any) -> None:  # noqa: ANN401 - the fields of a Selection
    """Send delivered events once more.

    They go out with the same id and the same bytes, behind everything that is pending, so that none
    overtakes a newer event of its record.
    """
    selection = Selection(**wanted)
    if dry:
        with reading.View(state_path()) as view:
            count = view.count(selection, ["delivered", "parked"])
        _see(selection, count)
        click.echo(f"{count} deliveries would be sent again")
        return
    _again(["delivered", "parked"], selection)


@click.command()
@click.argument("name", shell_complete=complete.PAUSABLE)
@told
def pause(name: str) -> None:
    """Stop a sink, or the polls of a stream.

    NAME is a sink or a stream as poller status names them. What is pending is kept.
    """
    _pause(name, paused=True)
    click.echo(f"{name} is paused; poller resume {name} lets it go on")


@click.command()
@click.argument("name", shell_complete=complete.PAUSABLE)
@told
def resume(name: str) -> None:
    """Let a sink or a stream go on.

    A sink whose receiver is in trouble is tried at once, and so is a stream that fails or is suspended.
    """
    _pause(name, paused=False)
    click.echo(f"{name} goes on")


def _pause(name: str, *, paused: bool) -> None:
    if name in _sinks(where()[0]):
        _carry_out("pause_sink", sink=name, reason="paused by the operator" if paused else "")
    elif not _carry_out("pause_stream", stream=name, paused=paused)["found"]:
        fail(f"there is no sink and no stream {name}; poller status names them", 1)


@click.command()
@click.argument("name", metavar="STREAM|ROUTE", shell_complete=complete.DECIDABLE)
@told
def approve(name: str) -> None:
    """Announce the held deletions of STREAM, or send what ROUTE holds.

    Both are as poller status names them. Each record that is to be announced as deleted is asked for once more;
    those that the API still shows are let go.
    """
    _decide(name, Decision.APPROVE)


@click.command()
@click.argument("name", metavar="STREAM|ROUTE", shell_complete=complete.DECIDABLE)
@told
def reject(name: str) -> None:
    """Never announce the held deletions of STREAM, or forget what ROUTE holds.

    A record that shows up again is followed on.
    """
    _decide(name, Decision.REJECT)


def _decide(name: str, decision: Decision) -> None:
    if "/" not in name:
        count = _carry_out("release", route=name, decision=decision)["count"]
        if not count:
            fail(f"there is nothing held by a route {name}; poller status names routes and streams where there is", 1)
        click.echo(f"{count} deliveries {'will be sent' if decision == Decision.APPROVE else 'are forgotten'}")
    elif _carry_out("decide", stream=name, decision=decision)["found"]:
        click.echo(f"{decision}: carried out by the next poll of {name}")
    else:
        fail(f"no deletions are held in {name}; poller status names the streams where they are", 1)


def _sinks(path: Path) -> Collection[str]:
    """The sinks, and the routes that do actions, of the poller that runs, or else of the configuration."""
    try:
        receivers: Mapping[str, Any] = ask(path, "outline")["receivers"]
    except control.NotRunning:
        config = configuration()
        return (*config.sinks, *config.queues())
    return receivers


def _carry_out(name: str, **request: object) -> dict[str, Any]:
    """Have the running poller carry out an operation, or, where none runs, do so under the lock.

    The one that runs goes by what it has read: the configuration may be wrong by now.
    """
    path, wrong = where()
    try:
        answer = ask(path, name, asking.WORK_S, **request)
    except control.NotRunning:
        return _do(name, **request)
    if wrong:
        warn(wrong)
    return answer


def _do(name: str, **request: object) -> dict[str, Any]:
    config = configuration()
    path = config.state.path
    with reading.View(path):
        pass  # a state that is not there is not made
    with closing(SqliteStore(path, SpaceInvoices.name)) as store:
        store.keep_shapes(config.shapes())
        return operations(store, wall_ms, config.plan())[name](**request)
