"""The command line as a process: what each command says, its exit code, and what it leaves alone."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import click
import pytest
from click.testing import CliRunner
from process import HASTE, TOKEN, Site, file, only, webhook
from receiver import Receiver, answer

import poller
from poller import __version__, cli
from poller.simulator import Account, History, Simulator
from poller.simulator.faults import hang, ignores, server_error, shuffled
from poller.simulator.resources import example

CLIENTS = only("clients")
NO_BACKOFF = "from poller.sources import spaceinvoices\nspaceinvoices.BACKOFF_S = 0.01\n"
DEAR = {"click", "structlog", "msgspec", "tabulate", "pydantic", "httpx", "httpcore", "sqlite_utils", "apscheduler"}
CHEAP = {"click", "structlog", "msgspec", "tabulate"}
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def site(tmp_path, api):
    """Only clients, to standard output."""
    return Site(tmp_path / "site", api.url, CLIENTS)


def contents(folder):
    """The bytes of every file below a folder, but for outputs and the configuration."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("run-", "config"))]
    return {path.relative_to(folder): path.read_bytes() for path in files}


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


# Configuration


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


# State


def foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE note (text); INSERT INTO note VALUES ('mine')")


def newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def flipped(path):
    """A page in the middle is garbage, and the poller was killed."""
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data) - 4096, 4096):
        data[start : start + 512] = b"\xa5" * 512
    path.write_bytes(data)
    lock = path.with_name(path.name + ".lock")
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"clean": False}))


WRONG = {
    "foreign": (foreign, 78, "another program's database", True),
    "newer": (newer, 78, "newer poller", False),
    "missing": (Path.unlink, 70, "is missing, but there was state", False),
    "empty": (lambda path: path.write_bytes(b""), 70, "is empty, but there was state", False),
    "garbage": (lambda path: path.write_bytes(b"\xa5" * 50_000), 70, "damaged", False),
    "cut short": (lambda path: os.truncate(path, 5000), 70, "damaged", False),
    "with bad pages": (flipped, 70, "damaged", False),
}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A state that was used and left clean."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    account.bulk_create(account.organizations[0], "clients", 30)
    folder = tmp_path_factory.mktemp("used")
    with Simulator(account) as api:
        assert Site(folder, api.url, CLIENTS).run("once").code == 0
    return {name: (folder / name).read_bytes() for name in ("poller.db", "poller.db.lock")}


@pytest.mark.parametrize(("spoil", "code", "words", "first"), WRONG.values(), ids=WRONG)
def test_a_state_that_cannot_be_used(tmp_path, used, spoil, code, words, first):
    """Never taken for a first start: it is told, and left as it is."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    if not first:
        for name, data in used.items():
            (tmp_path / name).write_bytes(data)
    spoil(site.database)
    before = contents(tmp_path)
    done = site.run("run")
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert str(site.database) in done.err
    assert "Traceback" not in done.err
    after = contents(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert site.database.exists() == (Path("poller.db") in before)


def mounted(folder, kind):
    """What makes a process see a mount of this kind at the folder."""
    listed = folder / "mountinfo"
    listed.write_text(f"22 1 8:1 / / rw - ext4 sda rw\n23 22 0:9 / {folder.resolve()} rw - {kind} nas:/x rw\n")
    return f"from pathlib import Path\nfrom poller.stores import place\nplace.MOUNTINFO = Path({str(listed)!r})\n"


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_state_on_a_network_is_refused(tmp_path, command):
    """By name and type, and nothing is made there."""
    site = Site(tmp_path, NOWHERE, CLIENTS, patch=mounted(tmp_path, "nfs4"))
    done = site.run(command)
    assert (done.code, done.out) == (78, "")
    assert f"on {tmp_path.resolve()}, a network file system (nfs4)" in done.err
    assert "[state] allow_network = true" in done.err
    assert not site.database.exists()
    assert not site.database.with_name("poller.db.lock").exists()


@pytest.mark.parametrize(("kind", "more"), [("nfs4", "allow_network = true\n"), ("fuse.unheard-of", "")])
def test_a_network_that_is_insisted_on_and_what_is_not_known(tmp_path, api, kind, more):
    """Detection can be wrong: both are let through."""
    site = Site(tmp_path, api.url, CLIENTS, patch=mounted(tmp_path, kind))
    site.config.write_text(site.config.read_text().replace("[state]\n", f"[state]\n{more}"))
    assert site.run("once").code == 0


def test_where_no_mounts_can_be_read(tmp_path, api):
    """It is not to be told, and let through."""
    blind = mounted(tmp_path, "nfs4")
    (tmp_path / "mountinfo").unlink()
    assert Site(tmp_path, api.url, CLIENTS, patch=blind).run("once").code == 0


def test_fault_18_a_lost_state_can_be_begun_anew(tmp_path, used, api):
    """By an option; what was left of it is kept aside, and the first poll is silent again."""
    site = Site(tmp_path, api.url, CLIENTS)
    (tmp_path / "poller.db.lock").write_bytes(used["poller.db.lock"])
    site.database.write_bytes(b"\xa5" * 5000)
    assert site.run("once").code == 70
    done = site.run("once", "--accept-state-loss")
    assert (done.code, done.out) == (0, "")
    assert [path.read_bytes() for path in tmp_path.glob("poller.db.lost-*")] == [b"\xa5" * 5000]
    assert site.run("once").code == 0


@pytest.mark.parametrize(("arguments"), [["status"], ["retry"]])
@pytest.mark.parametrize(("spoil", "code"), [(foreign, 78), (lambda path: path.write_bytes(b"\xa5" * 50_000), 70)])
def test_commands_that_look_say_so_too(tmp_path, spoil, code, arguments):
    """Nothing is written to it."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    spoil(site.database)
    before = contents(tmp_path)
    done = site.run(*arguments)
    assert (done.code, done.out, contents(tmp_path)) == (code, "", before)
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["status"], ["events"], ["retry"], ["approve", "o/clients"]])
def test_without_a_state_there_is_nothing_to_show(tmp_path, arguments):
    """It is told where it was looked for, and none is made."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    done = site.run(*arguments)
    assert (done.code, done.out) == (1, "")
    assert f"no state at {site.database}" in done.err
    assert contents(tmp_path) == {}


def test_fault_10_a_second_daemon_is_refused(site):
    """Exit 75, naming the process that holds the state, which goes on."""
    with site.start() as poller:
        poller.up()
        done = site.run("run")
        assert (done.code, done.out) == (75, "")
        assert f"in use by process {poller.pid}, running since 20" in done.err
        assert poller.stop().code == 0


# once


def test_once_polls_delivers_and_ends(site, account, org):
    """The first round is silent; what changes later goes out, and it exits 0."""
    gone, changed = account.bulk_create(org, "clients", 2)
    done = site.run("once")
    assert (done.code, done.out) == (0, "")
    assert "1 streams polled, 0 failed" in done.err
    account.create(org, "clients")
    account.update(org, "clients", changed, {"name": "Changed"})
    account.soft_delete(org, "clients", gone)
    done = site.run("once")
    kinds = sorted(json.loads(line)["type"].rpartition(".")[2] for line in done.out.splitlines())
    assert (done.code, kinds) == (0, ["created", "deleted", "updated"])
    assert site.run("once").out == ""


def test_once_with_a_sweep_finds_what_moved_no_stamp(site, account, org):
    """Digests included, and hard deletions too."""
    record = example("clients") | {"id": "5f0000000000000000000001", "organizationId": org}
    gone = "5f0000000000000000000002"
    account.put_raw(org, "clients", record["id"], json.dumps(record).encode())
    account.put_raw(org, "clients", gone, json.dumps(record | {"id": gone}).encode())
    site.run("once")
    account.put_raw(org, "clients", record["id"], json.dumps(record | {"note": "Silent"}).encode())
    account.hard_delete(org, "clients", gone)
    assert site.run("once").out == ""
    done = site.run("once", "--sweep")
    kinds = sorted(json.loads(line)["type"].rpartition(".")[2] for line in done.out.splitlines())
    assert (done.code, kinds) == (0, ["deleted", "updated"])


def test_once_fails_where_a_stream_does(tmp_path, api, account, org):
    """Exit 1, naming it; the others were polled."""
    site = Site(tmp_path, api.url, only("clients", "items"), patch=NO_BACKOFF)
    site.run("once")
    account.create(org, "items")
    api.faults.always(server_error, path="clients")
    done = site.run("once")
    assert done.code == 1
    assert "2 streams polled, 1 failed" in done.err
    assert f"{org}/clients: the API answered 500" in done.err
    assert len(done.out.splitlines()) == 1


def test_once_fails_where_something_is_left_to_deliver(tmp_path, api, account, org):
    """Exit 1, with how much; it does not wait for the receiver."""
    with Receiver(answer(500)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        site.run("once")
        account.create(org, "clients")
        done = site.run("once")
    assert (done.code, len(receiver.records)) == (1, 1)
    assert "1 deliveries still to be made" in done.err


def test_once_fails_where_the_token_does(site):
    """Exit 1, and why."""
    site.env["POLLER_TEST_TOKEN"] = "wrong"
    done = site.run("once")
    assert done.code == 1
    assert "the token is wrong" in done.err


def test_once_ends_at_an_interrupt(site, api):
    """At once, also while the API hangs."""
    api.faults.always(hang(), path="clients")
    with site.start("once") as poller:
        poller.until(lambda: any("clients" in seen.path for seen in api.requests))
        time.sleep(0.1)
        assert poller.stop(signal.SIGINT, 10).code != 0
    assert "Traceback" not in poller.err


def test_a_dry_run_shows_and_keeps_nothing(site, account, org):
    """The events that a round would make, with the ids that they then get; not a byte of the state is changed."""
    account.bulk_create(org, "clients", 3)
    site.run("once")
    account.create(org, "clients")
    before = contents(site.folder)
    shown = site.run("once", "--dry-run")
    assert (shown.code, contents(site.folder)) == (0, before)
    told = site.run("once")
    assert [json.loads(line)["id"] for line in shown.out.splitlines()] == [json.loads(told.out)["id"]]


def test_a_dry_run_delivers_nothing(tmp_path, api, account, org):
    """Nor does it make a sink's file."""
    with Receiver() as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url) + file("file", tmp_path / "events"))
        site.run("once")
        (tmp_path / "events").unlink()
        account.create(org, "clients")
        assert len(site.run("once", "--dry-run", "--sweep").out.splitlines()) == 1
    assert receiver.records == []
    assert not (tmp_path / "events").exists()


def test_a_dry_run_without_a_state(tmp_path, api, account, org):
    """A first round is silent, and no state is made."""
    account.create(org, "clients")
    site = Site(tmp_path / "site", api.url, CLIENTS)
    done = site.run("once", "--dry-run")
    assert (done.code, done.out, contents(site.folder)) == (0, "", {})
    emitting = Site(tmp_path / "emit", api.url, CLIENTS, first_sync="emit")
    done = emitting.run("once", "--dry-run")
    assert (len(done.out.splitlines()), contents(emitting.folder)) == (1, {})


def test_a_dry_run_beside_a_daemon(site, account, org):
    """Both may work at once."""
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert site.run("once", "--dry-run").code == 0
        account.create(org, "clients")
        poller.until(poller.events)
        assert poller.stop().code == 0


# check


def test_check_finds_all_well(tmp_path, api, account, org):
    """Each resource's filters are tried."""
    History(account, random.Random(1)).populate(5)
    account.soft_delete(org, "clients", next(iter(account.live(org, "clients"))))
    done = Site(tmp_path, api.url).run("check")
    assert (done.code, done.err) == (0, "")
    assert "Organization 1" in done.out
    assert len(re.findall(r"^ok +\w+: id gt", done.out, re.MULTILINE)) == 10
    assert "ok       clients: id gt, updatedAt gte and deleted are honoured\n" in done.out


def test_check_with_a_wrong_token(site):
    """Exit 1, and it says that it is the token."""
    site.env["POLLER_TEST_TOKEN"] = "wrong"
    done = site.run("check")
    assert done.code == 1
    assert "FAILED   token: the API answered 401" in done.out


@pytest.mark.parametrize("fault", [ignores("where"), ignores("order"), shuffled()], ids=["where", "order", "shuffled"])
def test_check_finds_a_server_that_ignores_filters(site, api, account, org, fault):
    """Such a server would lose changes in silence."""
    ids = account.bulk_create(org, "clients", 5)
    account.put_raw(org, "clients", "000000000000000000000000", json.dumps(account.get("clients", ids[0])).encode())
    api.faults.always(fault, path="clients")
    done = site.run("check")
    assert done.code == 1
    assert "FAILED   clients: " in done.out


def test_check_of_an_empty_account(site):
    """Nothing to tell by is no failure, and says so."""
    done = site.run("check")
    assert done.code == 0
    assert "unknown  clients: too few records to tell" in done.out


# status


def test_status_of_a_running_and_a_stopped_poller(site, account, org):
    """For people and for programs."""
    account.bulk_create(org, "clients", 3)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        account.create(org, "clients")
        poller.until(lambda: site.query("SELECT state FROM delivery") == [("delivered",)])
        found = site.status()
        [stream] = found["streams"]
        [sink] = found["sinks"]
        assert (found["running"], stream["stream"], stream["state"]) == (poller.pid, f"{org}/clients", "following")
        assert (stream["records"], stream["failures"], stream["error"]) == (4, 0, "")
        assert all(stream[key].startswith("20") for key in ("polled", "next_poll", "watermark", "next_sweep"))
        assert (sink["sink"], sink["pending"], sink["parked"], sink["delivered"]) == ("stdout", 0, 0, 1)
        text = site.run("status").out
        assert f"poller is running (process {poller.pid})" in text
        assert f"{org}/clients" in text
        poller.kill()
    assert site.status()["running"] is None
    assert "poller is not running" in site.run("status").out


# events


def test_events_are_listed_and_followed(site, account, org):
    """The newest, by a pattern, for people or as they are sent; then new ones as they come."""
    first = account.create(org, "clients")
    site.run("once")
    account.update(org, "clients", first, {"name": "Changed"})
    sent = site.run("once").out
    account.create(org, "clients")
    sent += site.run("once").out
    assert site.run("events", "--json").out == sent
    assert site.run("events", "--json", "-n", "1").out == sent.splitlines(keepends=True)[1]
    assert site.run("events", "--json", "*.updated").out == sent.splitlines(keepends=True)[0]
    line = site.run("events", "client.updated").out
    assert line.split()[1:] == ["client.updated", f"clients/{first}", "name"]
    with site.start("events", "--json", "--follow") as follower:
        follower.until(lambda: follower.out == sent)
        account.create(org, "clients")
        sent += site.run("once").out
        follower.until(lambda: follower.out == sent, 3)


def test_events_into_a_pipe_that_closes(site, account, org):
    """No traceback in ``poller events | head``."""
    site.run("once")
    account.bulk_create(org, "clients", 50)
    site.run("once")
    command = f"{sys.executable} -m poller --config {site.config} events --json -n 50 | head -c 10"
    done = subprocess.run(command, shell=True, env=site.env, capture_output=True, text=True, check=False)
    assert (len(done.stdout), "Traceback" in done.stderr) == (10, False)


# retry, approve, reject


@pytest.fixture
def parked(tmp_path, api, account, org):
    """A site with two parked deliveries, and its receiver, which takes everything from now on."""
    with Receiver(answer(422), answer(422)) as receiver:
        patch = HASTE + "retry.EVENT_WAITS_S = (0.0,)\n"
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=patch)
        site.run("once")
        account.bulk_create(org, "clients", 2)
        assert site.run("once").code == 0
        assert len(site.status()["parked"]) == 2
        yield site, receiver


def test_retry_while_it_is_stopped(parked):
    """Under the lock; the next run sends them, with the same id and bytes."""
    site, receiver = parked
    text = site.run("status").out
    assert "Parked deliveries (poller retry sends them again)" in text
    event = receiver.records[0].id
    assert event in text
    assert site.run("retry", "--sink", "other").code == 1
    assert site.run("retry", event).out == "1 deliveries will be sent again\n"
    assert site.run("retry").out == "1 deliveries will be sent again\n"
    assert site.run("retry").code == 1
    assert site.run("once").code == 0
    assert {(one.id, one.body) for one in receiver.records[2:]} == {(one.id, one.body) for one in receiver.records[:2]}


def test_retry_while_it_runs(parked):
    """Through its socket, and at once."""
    site, receiver = parked
    with site.start() as poller:
        poller.up()
        assert site.run("retry").out == "2 deliveries will be sent again\n"
        poller.until(lambda: len(receiver.records) == 4)
        assert poller.stop().code == 0


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("raise OSError('disk full')", "could not do it: OSError: disk full"),
        ("time.sleep(1)", "does not answer: timed out"),
    ],
)
def test_a_running_poller_that_cannot(site, trouble, words):
    """Exit 1, and its own words."""
    broken = f"""
import time
from poller import control
from poller.stores.sqlite import SqliteStore

def again(*_):
    {trouble}
    return 1

SqliteStore.again = again
"""
    with site.start(patch=broken) as poller:
        poller.up()
        done = site.run("retry", patch="from poller import asking\nasking.WORK_S = 0.3")
        poller.kill()
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1


@pytest.fixture
def held(tmp_path, api, account, org):
    """A site where 30 of 40 deletions are held."""
    ids = account.bulk_create(org, "clients", 40)
    site = Site(tmp_path, api.url, CLIENTS, count_every=1)
    site.run("once")
    for record_id in ids[:30]:
        account.hard_delete(org, "clients", record_id)
    assert (site.run("once").out, site.status()["streams"][0]["state"]) == ("", "held")
    return site


def test_held_deletions_are_shown(held, org):
    """With what to do."""
    text = held.run("status").out
    assert f"HELD: 30 of 40 records of {org}/clients" in text
    assert f"poller approve {org}/clients" in text


@pytest.mark.parametrize(("command", "events"), [("approve", 30), ("reject", 0)])
def test_a_decision_while_it_is_stopped(held, org, command, events):
    """Under the lock; the next poll carries it out."""
    assert held.run(command, f"{org}/clients").code == 0
    done = held.run("once")
    assert (done.code, len(done.out.splitlines())) == (0, events)
    assert held.status()["streams"][0]["state"] == "following"
    assert held.run("once").out == ""


@pytest.mark.parametrize(("command", "events"), [("approve", 30), ("reject", 0)])
def test_a_decision_while_it_runs(held, org, command, events):
    """Through its socket; it polls at once."""
    with held.start() as poller:
        poller.up()
        assert held.run(command, f"{org}/clients").code == 0
        poller.until(lambda: held.query("SELECT held_ms FROM stream") == [(None,)])
        poller.until(lambda: len(poller.events()) == events)
        assert poller.stop().code == 0


NO_ROUTE, NO_STREAM = "nothing held by a route clients", "no deletions are held in nobody/clients"


@pytest.mark.parametrize(
    ("name", "words", "running"),
    [("clients", NO_ROUTE, False), ("nobody/clients", NO_STREAM, False), ("clients", NO_ROUTE, True)],
)
def test_a_decision_on_nothing(site, name, words, running):
    """Exit 1, with where to look; no stream comes of it."""
    site.run("once")
    if running:
        with site.start() as poller:
            done = (poller.up(), site.run("approve", name))[1]
    else:
        done = site.run("approve", name)
    assert done.code == 1
    assert words in done.err
    assert site.query("SELECT count(*) FROM stream") == [(1,)]


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
