"""``poller health``: 0 or 1 and one line, quickly, whatever state the poller or its configuration is in."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from process import Site, eventually, only

import poller

CLIENTS = only("clients")


def test_a_poller_that_moves_is_well(tmp_path, api):
    """And says which process it is."""
    site = Site(tmp_path, api.url, CLIENTS)
    with site.start() as running:
        running.up()
        done = site.run("health")
        assert (done.code, done.out, done.err) == (0, f"well: process {running.pid}\n", "")


def test_one_that_pauses_is_well_and_says_why(tmp_path, api, account):
    """No restart would help."""
    site = Site(tmp_path, api.url, CLIENTS, patch="from poller import strain\nstrain.EVERY_S = 0.1\n")
    site.config.write_text(site.config.read_text().replace("[state]", '[state]\nmax_size = "1KiB"'))
    with site.start() as running:
        running.up()
        eventually(lambda: "; polls pause: " in site.run("health", patch="").out)
        assert site.run("health", patch="").code == 0


def test_one_that_does_not_run_is_not_well(tmp_path, api):
    """Nor one that was killed, and left its socket."""
    site = Site(tmp_path, api.url, CLIENTS)
    assert site.run("health")[:2] == (1, "poller does not run\n")
    with site.start() as running:
        running.up()
        running.kill()
    assert site.database.with_name("poller.db.sock").exists()
    assert site.run("health")[:2] == (1, "poller does not run\n")


def test_one_that_does_not_answer_is_not_well(tmp_path, api):
    """It is not waited for longer than a probe has time."""
    site = Site(tmp_path, api.url, CLIENTS)
    with site.start() as running:
        running.up()
        running.signal(signal.SIGSTOP)
        assert site.run("health")[:2] == (1, "poller does not answer: timed out\n")


def test_what_stands_still_is_named(tmp_path, api):
    """By the line of a poller that answers."""
    patch = "from poller.pulse import Pulse\nPulse.trouble = lambda self: 'the drain of crm stands still for 91 s'\n"
    site = Site(tmp_path, api.url, CLIENTS, patch=patch)
    with site.start() as running:
        running.up()
        assert site.run("health", patch="")[:2] == (1, "the drain of crm stands still for 91 s\n")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[state", "is not TOML"),
        ("[state]\npath = 1\n", "state.path: should be a path"),
        ("state = 1\n", "state.path: should be a path"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_configuration_that_names_no_state(tmp_path, api, config, words):
    """One line says so, and it is not well."""
    site = Site(tmp_path, api.url, CLIENTS)
    site.config.unlink()
    if config is not None:
        site.config.write_text(config)
    done = site.run("health")
    assert (done.code, done.out.count("\n"), done.err) == (1, 1, "")
    assert words in done.out


@pytest.mark.parametrize("line", ["x = " + "9" * 5000, "x = " + "[" * 5000])
def test_a_line_beyond_all_measure_is_no_defect(tmp_path, api, line):
    """A command that only looks for the state says what is wrong, as the others do."""
    site = Site(tmp_path, api.url, CLIENTS)
    site.config.write_text(f"[state]\n{line}\npath = '{site.database}'\n")
    assert site.run("health")[:2] == (1, "poller does not run\n")
    done = site.run("status")
    assert (done.code, "is not TOML" in done.err, "Traceback" in done.err) == (78, True, False)


@pytest.mark.parametrize("named", ["", '[state] # closed\nkeep = "7d"\n', "[state]\npath = 'other.db' # here\n"])
def test_a_file_that_is_no_toml_any_more_leaves_a_poller_well(tmp_path, api, named):
    """A typo in the configuration of one that runs is no reason for a restart, which would not start."""
    site = Site(tmp_path, api.url, CLIENTS)
    rest, _, _ = site.config.read_text().partition("[state]")
    site.config.write_text(rest + named)
    with site.start() as running:
        running.up()
        site.config.write_text(rest + named + "[resources\n")
        done = site.run("health")
        assert (done.code, done.out) == (0, f"well: process {running.pid}\n")


@pytest.mark.parametrize(
    "config",
    [
        '[state]\npath = "x\n',
        "state = { path = 'x' }\n[resources",
        "state.path = 'x'\n[resources",
        "[state\npath = 'x'",
    ],
)
def test_where_a_broken_file_puts_the_state_is_not_guessed(tmp_path, api, config):
    """It names a place that cannot be read: another one is not asked."""
    site = Site(tmp_path, api.url, CLIENTS)
    site.config.write_text(config)
    assert "is not TOML" in site.run("health").out


def test_the_state_is_where_it_is_by_default(tmp_path):
    """A token alone is enough to run, and so it is here; without one there is nothing to ask."""
    command = [sys.executable, "-m", "poller", "health"]
    env = {"PYTHONPATH": str(Path(poller.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:16]) == (1, "no configuration")
    env["SPACE_INVOICES_TOKEN"] = "t"
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "poller does not run\n")


def test_it_is_a_command_as_the_others_are(tmp_path, api):
    """With the options of all commands, and help."""
    site = Site(tmp_path, api.url, CLIENTS)
    assert "exits 0, or 1" in site.run("health", "--help").out
    assert site.run("--log-level", "debug", "health").code == 1
    assert site.run("health", patch="pass")[:2] == (1, "poller does not run\n")


def test_it_imports_little():
    """It is started every half minute: what takes half a second to import stays out."""
    code = "import sys\nfrom poller import __main__, health\nprint(*sys.modules)"
    heavy = {"pydantic", "httpx", "apscheduler", "structlog", "sqlite_utils", "click", "msgspec", "sqlite3", "asyncio"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy & set(done.stdout.split()) == set()


def test_a_poller_of_another_version_is_asked_what_it_knows(tmp_path, monkeypatch):
    """One that does not tell of trouble has none to tell of; one that does not know the question is not well."""
    from poller.health import health

    config = tmp_path / "config.toml"
    config.write_text('[state]\npath = "x.db"\n')
    monkeypatch.setattr("poller.health.ask", lambda *_, **__: {"pid": 7})
    assert health(config) == (True, "well: process 7")
    monkeypatch.setattr("poller.health.ask", lambda *_, **__: {"error": "this poller does not know that command"})
    assert health(config) == (False, "this poller does not know that command")
