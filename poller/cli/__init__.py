"""The command line. Standard output carries events and answers; everything else goes to standard error."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from poller import __version__


class Row(click.Command):
    """A command as the table has it: by its name and its line. The rest is imported when it is called.

    ``place`` is the module beside this one and the name in it; ``line`` the first sentence of its help.
    """

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, help=line)
        self._place = place

    def whole(self) -> click.Command:
        """The command itself."""
        module, _, name = self._place.partition(":")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), name)
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's
    ) -> click.Context:
        """Read the arguments as the command itself does; it is also what the context carries out."""
        return self.whole().make_context(info_name, args, parent, **extra)


# In the order of their use.
_ROWS: Sequence[Row] = (
    Row("run", "run:run", "Poll on a schedule and deliver at once, until stopped."),
    Row("once", "work:once", "Poll everything now, deliver what is due, end."),
    Row("check", "work:check", "See whether all is right for a start."),
    Row("doctor", "doctor:doctor", "Look at the API and at this machine, and say what follows."),
    Row("config", "config:config", "Begin, show and describe the configuration."),
    Row("plan", "change:plan", "Tell what the configuration NEW.toml would do in place of the present one."),
    Row("reload", "change:reload", "Have the poller that runs take up the changed configuration."),
    Row("status", "look:status", "Show streams, sinks, and what waits."),
    Row("health", "look:health", "Say whether a poller runs and moves: exits 0, or 1."),
    Row("sinks", "look:sinks", "Show how the sinks and their receivers are."),
    Row("events", "look:events", "Show the newest events, delivered or not."),
    Row("explain", "routes:explain_", "Show what each route makes of an event, and why."),
    Row("try", "routes:try_", "Show what one route makes of an event, or send it."),
    Row("test", "routes:test_", "Carry out the tests of the configuration, or the one of this NAME."),
    Row("actions", "routes:actions", "List what can be done, in all systems or in one."),
    Row("retry", "queue:retry", "Send parked deliveries again."),
    Row("dead", "queue:dead", "Look at, retry or drop parked deliveries."),
    Row("replay", "queue:replay", "Send delivered events once more."),
    Row("pause", "queue:pause", "Stop a sink, or the polls of a stream."),
    Row("resume", "queue:resume", "Let a sink or a stream go on."),
    Row("approve", "queue:approve", "Announce the held deletions of STREAM, or send what ROUTE holds."),
    Row("reject", "queue:reject", "Never announce the held deletions of STREAM, or forget what ROUTE holds."),
    Row("backup", "keep:backup", "Write a consistent, checked copy of the state to FILE."),
    Row("verify", "keep:verify", "Look for damage in the state, and for what must not be."),
    Row("secret", "keep:secret", "Make secrets for webhooks."),
    Row("triggers", "catalogue:triggers", "List what there is to receive."),
    Row("sample", "catalogue:sample", "Print a full example event."),
    Row("listen", "trials:listen", "Be a receiver: verify and print each event."),
    Row("demo", "trials:demo", "See it work on a simulated account."),
    Row("completion", "manual:completion", "Print what completes commands in a shell."),
    Row("man", "manual:man", "Print the manual page, poller(1)."),
)


class _AsWritten(click.Group):
    """Lists the commands in the order of the table, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(self.commands)


@click.group(
    cls=_AsWritten,
    commands=_ROWS,
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
    from poller import log  # noqa: PLC0415 - help, version and completion do without

    log.configure(log_level)
    log.catch()
