"""The systemd units: what systemd itself says of them, and that each directive has its reason."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from process import TOKEN, Site, only

from poller.simulator import Account, Simulator

FOLDER = Path(__file__).parent.parent / "systemd"
UNITS = [FOLDER / "poller.service", FOLDER / "poller@.service"]
MOST_EXPOSED = 12  # tenths

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and os.environ.get("CI") != "true",
    reason="systemd-analyze is not installed (Debian: systemd)",
)


def directives(path):
    """Its keys and values, in order."""
    return re.findall(r"^([A-Za-z]+)=(.*)$", path.read_text(), re.MULTILINE)


@pytest.fixture(params=UNITS, ids=lambda path: path.name)
def unit(request, tmp_path):
    """A unit whose program is there."""
    path = tmp_path / request.param.name
    program = Path(sys.executable).with_name("poller")
    path.write_text(request.param.read_text().replace("/opt/poller/bin/poller", str(program)))
    return path


@with_systemd
def test_systemd_finds_nothing_to_say(unit):
    """No unknown key, no value that is ignored."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@with_systemd
def test_it_is_exposed_as_little_as_may_be(unit):
    """1.2 of 10 at most; the network alone is 0.8."""
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


@with_systemd
def test_the_proxy_lowers_the_exposure(unit):
    """As its comment says."""
    more = (FOLDER / "poller.service.d" / "proxy.conf").read_text().partition("[Service]\n")[2]
    unit.write_text(unit.read_text().replace("\n[Install]", f"{more}\n[Install]"))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=9", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_each_directive_has_its_reason():
    """In the table of the README, and nothing else is there."""
    table = (FOLDER / "README.md").read_text().partition("## Why it is as it is")[2]
    rows = [row.split("|")[1] for row in re.findall(r"^\| `.*\|$", table, re.MULTILINE)]
    told = [name for row in rows for name in re.findall(r"`([A-Za-z]+)=", row)]
    used = {name for path in UNITS for name, _ in directives(path)} - {"Description"}
    assert set(told) == used
    assert len(told) == len(set(told))


def test_values_in_the_table_are_those_of_the_unit():
    """Where it names one."""
    table = (FOLDER / "README.md").read_text().partition("## Why it is as it is")[2]
    rows = [row.split("|")[1] for row in re.findall(r"^\| `.*\|$", table, re.MULTILINE)]
    told = [pair for row in rows for pair in re.findall(r"`([A-Za-z]+)=([^`]+)`", row)]
    assert len(told) > 5
    assert set(told) - set(directives(UNITS[0])) == set()


def test_the_template_differs_in_names_alone():
    """What is true of the one is true of the other."""
    plain, template = (directives(path) for path in UNITS)
    assert [(key, value) for key, value in template if (key, value) not in plain] == [
        ("Description", "Poller: changes in Space Invoices as events (%i)"),
        ("ExecStart", "/opt/poller/bin/poller --config /etc/poller/%i.toml run"),
        ("ExecReload", "/opt/poller/bin/poller --config /etc/poller/%i.toml reload"),
        ("StateDirectory", "poller-%i"),
        ("WorkingDirectory", "%S/poller-%i"),
        ("LoadCredential", "token:/etc/poller/%i.token"),
    ]
    assert [key for key, _ in template] == [key for key, _ in plain]


def test_drop_ins_change_what_the_unit_sets_or_may_set():
    """Each is a drop-in of the service, with the command that installs it."""
    paths = sorted((FOLDER / "poller.service.d").iterdir())
    assert [path.name for path in paths] == ["memory.conf", "proxy.conf"]
    for path in paths:
        assert (
            f"systemd/poller.service.d/{path.name} /etc/systemd/system/poller.service.d/{path.name}" in path.read_text()
        )
        assert {key for key, _ in directives(path)} <= {"MemoryMax", "IPAddressDeny", "IPAddressAllow"}


def test_a_reload_is_waited_for_and_can_fail(tmp_path):
    """As the unit does it: from the folder of the state, whose path is relative, and with no credential of its own."""
    [(_, told)] = [pair for pair in directives(UNITS[0]) if pair[0] == "ExecReload"]
    program, *arguments = told.split()
    assert (program, arguments[:2]) == ("/opt/poller/bin/poller", ["--config", "/etc/poller/config.toml"])
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text(TOKEN)
    with Simulator(Account(token=TOKEN, organizations=1, seed=1)) as api:
        site = Site(tmp_path / "state", api.url, only("clients"))
        text = site.config.read_text().replace(str(site.database), "poller.db")
        text = text.replace('{ env = "POLLER_TEST_TOKEN" }', '{ credential = "token" }')
        site.config.write_text(text)
        site.env["CREDENTIALS_DIRECTORY"] = str(credentials)
        with site.start() as poller:
            poller.up()
            del site.env["CREDENTIALS_DIRECTORY"]
            assert site.run(*arguments[2:]).code == 0
            site.config.write_text(text.replace("every", "evry"))
            done = site.run(*arguments[2:])
            assert done.code == 1
            assert "source.evry" in done.err
            assert poller.stop().code == 0
