"""The command that looks at everything."""

import os
import sys
from contextlib import suppress

import click

from poller import log
from poller.cli.shared import configuration, told
from poller.doctor import Finding, Verdict
from poller.leave import leave
from poller.settings import SettingError

_COLOURS = {Verdict.OK: "green", Verdict.NOTE: "cyan", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON list.")
@click.option("--offline", is_flag=True, help="Look at this machine only; ask the API nothing.")
@click.option(
    "--write-payment",
    "document",
    metavar="DOCUMENT",
    default="",
    help="Also book a payment of 0.01 on the document of this id and delete it again, to see whether the document "
    "tells of it. Nothing else is ever written.",
)
@told
def doctor(*, as_json: bool, offline: bool, document: str) -> None:
    """Look at the API and at this machine, and say what follows.

    Each line is a question: what was seen and, where it is not as it should be, what was expected and what to do. Asks
    some hundred things of the API, in the pace of source.rate, and writes nothing. Exits 1 if something FAILs.
    """
    from poller.doctor.examination import examine, plain  # noqa: PLC0415 - other commands do without

    config = configuration()
    with suppress(SettingError):  # which is found, and told
        log.hide(config.hidden())
    found = []
    for finding in examine(config, offline=offline, document=document):
        found.append(finding)
        if not as_json:
            _say(finding)
    if as_json:
        click.echo(plain(found))
    leave(1 if any(finding.verdict == Verdict.FAIL for finding in found) else 0)


def _say(finding: Finding) -> None:
    from poller.doctor.examination import lines  # noqa: PLC0415 - other commands do without

    first, *more = lines(finding)
    verdict = f"{finding.verdict:<5}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        verdict = click.style(verdict, fg=_COLOURS[finding.verdict])
    click.echo("\n".join([f"{verdict} {first}", *(f"{'':<5} {line}" for line in more)]))
