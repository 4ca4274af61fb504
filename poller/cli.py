"""The command line. Standard output carries events and answers; everything else goes to standard error."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from poller import __version__, control, daemon, log, report
from poller.check import check as look_at
from poller.config import Config, ConfigError, find, load
from poller.demo import demo as run_demo
from poller.listen import listen as run_listen
from poller.model import Kind
from poller.once import Round, dry_run
from poller.once import once as run_once
from poller.samples import sample as make_sample
from poller.settings import SettingError
from poller.sources import SourceError
from poller.sources.spaceinvoices import RESOURCES, SpaceInvoices, connector_name
from poller.stores import Decision, StoreError, reading
from poller.stores.opening import OpeningError
from poller.stores.sqlite import SqliteStore

BAD_CONFIG = 78
STATE_TROUBLE = 74

TRIGGERS = {f"{row.singular}.{kind}": (row, kind) for row in RESOURCES.values() if not row.opt_in for kind in Kind}


def _told(function: Callable[..., None]) -> Callable[..., None]:
    """Turn expected errors into a message and the documented exit code."""

    @wraps(function)
    def command(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - whatever click gives
        try:
            function(*arguments, **options)
        except (ConfigError, SettingError) as error:
            _fail(str(error), BAD_CONFIG)
        except OpeningError as error:
            _fail(str(error), error.exit_code)
        except StoreError as error:
            _fail(str(error), STATE_TROUBLE)
        except SourceError as error:
            _fail(str(error), 1)

    return command


def _fail(message: str, code: int) -> None:
    click.echo("\n".join(f"poller: {line}" for line in message.splitlines()), err=True)
    raise SystemExit(code)


def _config(*, secrets: bool = False) -> Config:
    """The configuration that was asked for; with ``secrets`` each of them is seen to be readable."""
    path = find(click.get_current_context().find_root().params["config"], os.environ)
    config = load(path)
    if secrets:
        config.check_secrets(str(path or ""))
    return config


class _AsWritten(click.Group):
    """Lists the commands in the order of their use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(self.commands)


@click.group(
    cls=_AsWritten,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""Exit codes: 0 well; 1 something failed; 2 wrong usage; 70 the state is lost or damaged;
    74 it cannot be written; 75 another poller holds it; 78 the configuration is wrong.""",
)
@click.version_option(__version__, message="poller %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration. Else $POLLER_CONFIG, ./config.toml, or /etc/poller/config.toml; "
    "without any, SPACE_INVOICES_TOKEN alone is enough.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def main(config: Path | None, log_level: str) -> None:  # noqa: ARG001 - commands read it from the context
    """Follow the Space Invoices API, and tell every change as an event.

    \b
    First:      poller demo     see it work, without an account
                poller check    is everything right for a start?
    Then:       poller run      until it is stopped
    Day by day: poller status, poller events, poller retry, poller approve
    """  # noqa: D301 - click's mark for lines to be left as they are
    log.configure(log_level)


@main.command()
@click.option("--accept-state-loss", is_flag=True, help="Begin anew where the state is missing or damaged.")
@_told
def run(*, accept_state_loss: bool) -> None:
    """Poll on a schedule and deliver at once, until stopped.

    The first poll of a stream is silent: it remembers what is there. SIGTERM or Ctrl-C finishes what is being
    sent, within 8 seconds; being killed at any moment loses nothing.
    """
    config = _config(secrets=True)
    daemon.run(config, daemon.service(config, accept_loss=accept_state_loss))
    daemon.leave(0)


@main.command()
@click.option("--sweep", is_flag=True, help="List everything and compare every record whole.")
@click.option("--dry-run", "dry", is_flag=True, help="Show the events; deliver nothing, keep nothing.")
@click.option("--accept-state-loss", is_flag=True, help="Begin anew where the state is missing or damaged.")
@_told
def once(*, sweep: bool, dry: bool, accept_state_loss: bool) -> None:
    """Poll everything now, deliver what is due, end.

    Exits 0 only when all of it succeeded: every stream polled, nothing left to deliver.
    """
    config = _config(secrets=True)
    if dry:
        went = dry_run(config, full=sweep, show=lambda event: click.echo(event.body))
    else:
        went = run_once(config, full=sweep, accept_loss=accept_state_loss)
    click.echo(_summary(went), err=True)
    daemon.leave(0 if went.well else 1)


def _summary(went: Round) -> str:
    failed = "".join(f"\n  {standing.stream.name}: {standing.error}" for standing in went.failed)
    pending = f", {went.pending} deliveries still to be made" if went.pending else ""
    return f"{went.polled} streams polled, {len(went.failed)} failed{pending}{failed}"


@main.command()
@_told
def check() -> None:
    """See whether all is right for a start.

    Looks at configuration, token and organizations.

    On each resource it tries whether the API really honours the filters that changes are found by.
    """
    config = _config(secrets=True)
    for table in config.sinks.values():
        table.sink().close()
    click.echo(f"ok       configuration: {len(config.plan().watches)} resources, sinks: {', '.join(config.sinks)}")
    well = True
    for found in look_at(daemon.source(config), config.plan()):
        well = well and found.well is not False
        click.echo(f"{_WELL[found.well]:<8} {found.what}: {found.told}")
    daemon.leave(0 if well else 1)


_WELL = {True: "ok", False: "FAILED", None: "unknown"}


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@_told
def status(*, as_json: bool) -> None:
    """Show streams, sinks, and what waits."""
    config = _config()
    path = config.state.path
    with reading.View(path) as view:
        found = report.status(view, config.plan(), _running(path))
    click.echo(msgspec.json.encode(found) if as_json else report.status_text(found))


def _running(path: Path) -> int | None:
    try:
        return int(control.ask(path, "ping")["pid"])
    except control.NotRunning:
        return None


@main.command()
@click.argument("trigger", default="*")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="So many of the newest.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new ones as they come.")
@click.option("--json", "as_json", is_flag=True, help="The events as they are sent, one a line.")
@_told
def events(trigger: str, limit: int, *, follow: bool, as_json: bool) -> None:
    """Show the newest events, delivered or not.

    TRIGGER is a pattern such as client.* or document.created.
    """
    with reading.View(_config().state.path) as view:
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


@main.command()
@click.argument("event_id", required=False)
@click.option("--sink", help="Only those of this sink.")
@_told
def retry(event_id: str | None, sink: str | None) -> None:
    """Send parked deliveries again.

    All of them, or those of one sink or of one event.

    They go out with the same id and the same bytes.
    """
    path = _config().state.path
    try:
        count = control.ask(path, "retry", sink=sink, event_id=event_id)["count"]
    except control.NotRunning:
        with _stopped(path) as store:
            count = store.retry(sink, event_id, daemon.wall_ms())
    click.echo(f"{count} parked deliveries will be sent again")
    raise SystemExit(0 if count else 1)


@contextmanager
def _stopped(path: Path) -> Iterator[SqliteStore]:
    """The state of a poller that does not run, to be written to; one that is not there is not made."""
    with reading.View(path):
        pass
    with closing(SqliteStore(path, SpaceInvoices.name)) as store:
        yield store


@main.command()
@click.argument("stream")
@_told
def approve(stream: str) -> None:
    """Announce the held deletions of STREAM.

    STREAM is as poller status names it.

    Each record is asked for once more; those that the API still shows are let go.
    """
    _decide(stream, Decision.APPROVE)


@main.command()
@click.argument("stream")
@_told
def reject(stream: str) -> None:
    """Never announce the held deletions of STREAM.

    A record that shows up again is followed on.
    """
    _decide(stream, Decision.REJECT)


def _decide(stream: str, decision: Decision) -> None:
    path = _config().state.path
    try:
        held = control.ask(path, "decide", stream=stream, decision=decision)["held"]
    except control.NotRunning:
        with _stopped(path) as store:
            held = store.decide(stream, decision)
    if not held:
        _fail(f"no deletions are held in {stream}; poller status names the streams where they are", 1)
    click.echo(f"{decision}: carried out by the next poll of {stream}")


@main.command()
def triggers() -> None:
    """List what there is to receive.

    With the names that connector platforms know the triggers by.
    """
    click.echo(report.triggers([(name, connector_name(*row)) for name, row in TRIGGERS.items()]))


@main.command()
@click.argument("trigger", type=click.Choice(list(TRIGGERS)), metavar="TRIGGER")
def sample(trigger: str) -> None:
    """Print a full example event.

    TRIGGER is such as client.created; poller triggers lists them.
    """
    click.echo(make_sample(SpaceInvoices.name, *TRIGGERS[trigger]).body)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8008, show_default=True)
@click.option("--secret", envvar="POLLER_LISTEN_SECRET", help="Verify signatures. Better by $POLLER_LISTEN_SECRET.")
def listen(port: int, secret: str | None) -> None:
    """Be a receiver: verify and print each event."""
    run_listen(port, secret)


@main.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same changes.")
@click.option("--rate", type=click.FloatRange(0.01, 100), default=2.0, show_default=True, help="Changes a second.")
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between polls.")
@_told
def demo(seed: int, rate: float, every: float) -> None:
    """See it work on a simulated account.

    It changes all the time, and its events are printed as they come.
    """
    run_demo(seed=seed, rate=rate, every_s=every)
    daemon.leave(0)
