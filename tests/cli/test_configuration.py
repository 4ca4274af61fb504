"""The configuration at a command's start: wrong, missing, not needed, or named by the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from process import NOWHERE, TOKEN, Site, contents

import poller

BAD = {
    "not TOML": ("[source\n", "is not TOML"),
    "unknown key": ("[source]\nevry = '1m'\n", 'source.evry: unknown key; did you mean "every"?'),
    "unknown table": ("[sink.crm]\nkind = 'stdout'\n", "sink: unknown key"),
    "wrong value": ("[source]\nevery = 5\n", "source.every: should say its unit"),
    "missing secret": ("[source]\ntoken = { env = 'NOT_SET' }\n", "source.token: the environment variable NOT_SET"),
    "secret that is no file": ("[source]\ntoken = { file = '/nowhere/token' }\n", "source.token: /nowhere/token"),
    "secret of a sink": (
        "sinks.crm = { kind = 'webhook', url = 'https://crm.example', secret = { env = 'NOT_SET' } }\n",
        "sinks.crm.secret: the environment variable NOT_SET",
    ),
    "sink that is none": ("[sinks.crm]\nkind = 'webhok'\n", 'did you mean "webhook"?'),
    "route to nowhere": ("[[route]]\non = ['client.*']\nto = ['crm']\n", 'there is no sink "crm"'),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_bad_configuration(tmp_path, text, words):
    """Exit 78, with the file, the key and what is wrong with it; there is no state afterwards."""
    site = Site(tmp_path, NOWHERE)
    site.config.write_text(text)
    done = site.run("run")
    assert (done.code, done.out) == (78, "")
    assert words in done.err
    assert all(line.startswith(f"poller: {site.config}: ") for line in done.err.splitlines())
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_configuration_that_cannot_be_read(tmp_path, name):
    """Its name, and why."""
    site = Site(tmp_path, NOWHERE)
    site.config = tmp_path / name
    done = site.run("run")
    assert done.code == 78
    assert f"{site.config}: cannot be read" in done.err


def test_a_bad_configuration_leaves_the_state_alone(site):
    """Nothing of it is even opened."""
    assert site.run("once").code == 0
    before = contents(site.folder)
    with site.config.open("a") as config:
        config.write("\n[nonsense]\n")
    assert site.run("run").code == 78
    assert contents(site.folder) == before


def alone(folder, *arguments, patch="", **env):
    """A command in a folder of its own, with these variables and no configuration."""
    code = [sys.executable, "-c", patch + "\nfrom poller.cli import main\nmain(prog_name='poller')\n", *arguments]
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(poller.__file__).parents[1])}
    return subprocess.run(code, cwd=folder, env=kept | env, capture_output=True, text=True, timeout=30, check=False)


def test_the_token_alone_is_enough(tmp_path, api, account, org):
    """No file at all: all ten resources, to standard output, state/poller.db in the working directory."""
    there = f"""
from poller import assembly
from poller.sources.spaceinvoices import BASE_URL, SpaceInvoices

def source(config, stop=None, meter=None):
    assert config.source.base_url == BASE_URL
    return SpaceInvoices(config.source.token.reveal(), base_url={api.url!r}, stop=stop, meter=meter)

assembly.source = source
"""
    first = alone(tmp_path, "once", patch=there, SPACE_INVOICES_TOKEN=TOKEN)
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    account.create(org, "orders")
    second = alone(tmp_path, "once", patch=there, SPACE_INVOICES_TOKEN=TOKEN)
    assert (second.returncode, json.loads(second.stdout)["type"]) == (0, "com.spaceinvoices.order.created")
    assert (tmp_path / "state" / "poller.db").exists()


def test_without_a_token_and_a_configuration(tmp_path):
    """It says what to set or to write."""
    done = alone(tmp_path, "run")
    assert done.returncode == 78
    assert "SPACE_INVOICES_TOKEN" in done.stderr
    assert "config.toml" in done.stderr


def test_the_environment_may_name_the_configuration(site):
    """``POLLER_CONFIG``, from anywhere."""
    done = alone("/", "once", POLLER_CONFIG=str(site.config), POLLER_TEST_TOKEN=TOKEN)
    assert (done.returncode, site.database.exists()) == (0, True)
