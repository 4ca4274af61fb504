"""What the command line tells by itself: help, version, wrong usage, triggers, and the demo."""

import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import click
import pytest
from click.testing import CliRunner
from process import NOWHERE, Site

from poller import __version__, cli

DEAR = {"click", "structlog", "msgspec", "tabulate", "pydantic", "httpx", "httpcore", "sqlite_utils", "apscheduler"}
CHEAP = {"click", "structlog", "msgspec", "tabulate"}
# Help


@pytest.mark.parametrize("name", [None, *cli.main.commands])
def test_every_command_has_help(name):
    """Worth reading: what it does, and every option in words."""
    command = cli.main.commands[name].whole() if name else cli.main
    done = CliRunner().invoke(command, ["--help"])
    assert done.exit_code == 0
    assert (command.help or "").strip().split("\n")[0] in done.output
    assert done.output.count("--help") == 1


def test_the_table_of_commands_is_true():
    """Each row has the name of its command, and the first sentence of its help; every command there is has a row."""
    wholes = {name: row.whole() for name, row in cli.main.commands.items()}
    assert {name: whole.name for name, whole in wholes.items()} == {name: name for name in wholes}
    lines = {name: row.help for name, row in cli.main.commands.items()}
    assert lines == {name: whole.get_short_help_str(1000) for name, whole in wholes.items()}
    modules = [import_module(f"poller.cli.{found.name}") for found in iter_modules(cli.__path__)]
    made = {one for module in modules for one in vars(module).values() if isinstance(one, click.Command)}
    inner = {one for group in made if isinstance(group, click.Group) for one in group.commands.values()}
    assert made - inner - {cli.main} == set(wholes.values())


@pytest.mark.parametrize(("argument", "most"), [("--help", {"click"}), ("--version", {"click"}), ("triggers", CHEAP)])
def test_little_is_imported_that_is_not_needed(argument, most):
    """What is asked of the command line itself does without configuration, network and state."""
    code = f"import sys\nfrom poller.cli import main\nmain([{argument!r}], standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) & DEAR <= most


def test_help_names_the_exit_codes():
    """They are what scripts go by."""
    text = CliRunner().invoke(cli.main, ["--help"]).output
    assert set(re.findall(r"\b\d\d?\b", text.partition("Exit codes")[2])) == {"0", "1", "2", "70", "74", "75", "78"}


def test_the_installed_command_tells_its_version():
    """Beside the interpreter, as installed."""
    done = subprocess.run(
        [Path(sys.executable).with_name("poller"), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"poller {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], ["sample"], ["--log-level", "loud", "run"]])
def test_wrong_usage(site, arguments):
    """Exit 2, with a word on help."""
    done = site.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "--help" in done.err or "-h" in done.err


# triggers, demo


def test_the_thirty_triggers():
    """By our name, and by that of connector platforms; then the seven of poller's own."""
    rows = CliRunner().invoke(cli.main, ["triggers"]).output.splitlines()[2:]
    assert [row.startswith("poller.") for row in rows] == [False] * 30 + [True] * 7
    named = dict(re.split(r"  +", row.strip(), maxsplit=1) for row in rows)
    assert named["client.created"] == "New Client"
    assert named["recurrence.updated"] == "Recurrence Update"
    assert named["order.deleted"] == "Order Deleted"


def test_the_demo_shows_all_three_kinds_within_15_seconds(tmp_path):
    """Created, updated and deleted, from a simulated account; a signal ends it and nothing is left behind."""
    site = Site(tmp_path, NOWHERE)
    site.env["TMPDIR"] = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    with site.start("demo") as poller:
        kinds = {"created", "updated", "deleted"}
        poller.until(lambda: {event["type"].rpartition(".")[2] for event in poller.events()} == kinds, 15)
        assert "A simulated account on http://127.0.0.1:" in poller.err
        assert poller.stop(signal.SIGINT).code == 0
    assert list((tmp_path / "temporary").iterdir()) == []
