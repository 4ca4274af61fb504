"""Commands that show something and change nothing."""

import time
from pathlib import Path

import click
import msgspec

from poller import control, report
from poller.cli import complete
from poller.cli.pattern import TriggerPattern
from poller.cli.shared import ask, configuration, state_path, told, warn, where
from poller.health import health as look_at_health
from poller.stores import reading


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@told
def status(*, as_json: bool) -> None:
    """Show streams, sinks, and what waits."""
    path, wrong = where()
    running = _running(path)
    if wrong and running is None:
        raise wrong
    with reading.View(path) as view:
        found = report.status(view, running.resources if running else configuration().plan().watches, running)
    click.echo(msgspec.json.encode(found) if as_json else report.status_text(found))
    if wrong:
        warn(wrong)


@click.command()
def health() -> None:
    """Say whether a poller runs and moves: exits 0, or 1.

    A loop, a poll or the database that stands still is named; what an API or a receiver does is no matter.
    """
    well, words = look_at_health(click.get_current_context().find_root().params["config"])
    click.echo(words)
    raise SystemExit(not well)


def _running(path: Path) -> report.Running | None:
    try:
        return report.Running.of(ask(path, "ping"))
    except control.NotRunning:
        return None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON list.")
@told
def sinks(*, as_json: bool) -> None:
    """Show how the sinks and their receivers are."""
    with reading.View(state_path()) as view:
        found = report.sinks(view)
    click.echo(msgspec.json.encode(found) if as_json else report.sinks_text(found) or "no sink has had a delivery yet")


@click.command()
@click.argument("trigger", default="*", type=TriggerPattern(), shell_complete=complete.TRIGGER_NAMES)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="So many of the newest.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new ones as they come.")
@click.option("--json", "as_json", is_flag=True, help="The events as they are sent, one a line.")
@told
def events(trigger: str, limit: int, *, follow: bool, as_json: bool) -> None:
    """Show the newest events, delivered or not.

    TRIGGER is a pattern such as client.* or document.created.
    """
    with reading.View(state_path()) as view:
        found = view.last(trigger, limit)
        _show(found, as_json=as_json)
        sequence = max((event.sequence for event in found), default=0)
        while follow:
            time.sleep(0.5)
            found = view.after(trigger, sequence)
            _show(found, as_json=as_json)
            sequence = max((event.sequence for event in found), default=sequence)


def _show(found: list[reading.Stored], *, as_json: bool) -> None:
    for event in found:
        click.echo(event.body if as_json else report.event_line(event))
