"""The manual page and the completion of shells, both made of the command line itself."""

import os
import re
import shutil
import subprocess

import click
import pytest
from click.testing import CliRunner
from process import TOKEN, Site, only, webhook

from poller import cli
from poller.cli.manual import page
from poller.simulator import Account, Simulator


def test_the_page_tells_of_every_command_and_option():
    """With its help, and the exit codes."""
    text = page(cli.main).replace(r"\-", "-")
    for path, command in commands(cli.main, "poller"):
        assert f'.SS "{path}"' in text
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                assert param.opts[-1] in text
    assert "78 the configuration is wrong" in text


def commands(group, above):
    for name, row in group.commands.items():
        command = row.whole() if isinstance(row, cli.Row) else row
        yield f"{above} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")


def test_troff_has_nothing_to_say_against_the_page(tmp_path):
    """No warning, and every command is on it."""
    groff = shutil.which("groff")
    if groff is None:
        assert not os.environ.get("CI"), "groff is missing"
        pytest.skip("groff is not installed: the page was not set")
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww"], input=page(cli.main), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "poller dead retry" in re.sub(r"\x1b\[\d+m|.\x08", "", done.stdout)


def test_text_is_not_taken_for_troff():
    """Backslashes, and lines that begin with a dot."""

    @click.group()
    def odd():
        r""".SH is no heading, and \fB no bold."""

    assert r"\&.SH is no heading, and \efB no bold." in page(odd)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(shell):
    """Asks the command itself, by its own variable."""
    done = CliRunner().invoke(cli.main, ["completion", shell], prog_name="poller")
    assert done.exit_code == 0
    assert "_POLLER_COMPLETE" in done.output


@pytest.fixture
def site(tmp_path):
    account = Account(token=TOKEN, organizations=1, seed=1)
    with Simulator(account) as api:
        route = '[[route]]\nname = "welcome"\non = ["client.created"]\nto = ["crm"]\n'
        site = Site(tmp_path / "site", api.url, only("clients") + webhook("crm", "http://127.0.0.1:9/x") + route)
        site.org = account.organizations[0]
        yield site


def offered(site, *typed):
    """What bash is told for these words; the last is being typed."""
    words = ["poller", "--config", str(site.config), *typed]
    site.env |= {"_POLLER_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = site.run()
    assert done.err == ""
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["pause", "c"], "crm"),
        (["pause", "w"], "welcome"),
        (["dead", "list", "--sink", "c"], "crm"),
        (["replay", "--route", "w"], "welcome"),
        (["replay", "--trigger", "client.c"], "client.created"),
        (["try", "w"], "welcome"),
        (["sample", "tax.d"], "tax.deleted"),
        (["config", "sc"], "schema"),
    ],
)
def test_names_are_completed(site, typed, expected):
    """From the configuration; commands and triggers from poller."""
    assert offered(site, *typed) == [expected]


def test_streams_are_completed_once_there_is_a_state(site):
    """Before, nothing is offered, and nothing said."""
    assert offered(site, "approve", site.org[:6]) == []
    site.env.pop("_POLLER_COMPLETE")
    site.run("once")
    assert offered(site, "approve", site.org[:6]) == [f"{site.org}/clients"]


def test_a_bad_configuration_completes_nothing(site):
    """And says nothing."""
    site.config.write_text("[source\n")
    assert offered(site, "pause", "c") == []
