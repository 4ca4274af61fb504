"""The command line. Standard output carries events and answers; everything else goes to standard error."""

from pathlib import Path

import click

from poller import __version__, log
from poller.cli import change, config, doctor, keep, look, manual, queue, routes, work


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
    log.catch()


_SETS = (
    work.COMMANDS,
    doctor.COMMANDS,
    config.COMMANDS,
    change.COMMANDS,
    look.COMMANDS,
    routes.COMMANDS,
    queue.COMMANDS,
    keep.COMMANDS,
    look.CATALOGUE,
    work.TRIALS,
    manual.COMMANDS,
)

for _command in (command for commands in _SETS for command in commands):
    main.add_command(_command)
