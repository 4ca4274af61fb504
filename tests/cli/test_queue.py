"""Commands on what waits, as processes: the same while a poller runs and while none does."""

import json
import time
from contextlib import contextmanager

import pytest
from process import HASTE, Site, eventually, file, lines, only, webhook
from receiver import Receiver, answer

CLIENTS = only("clients")


@pytest.fixture
def parked(tmp_path, api, account, org):
    """A site with two parked deliveries and one that is delivered, and its receiver, which now takes everything."""
    with Receiver(answer(422), answer(422)) as receiver:
        patch = HASTE + "retry.EVENT_WAITS_S = (0.0,)\n"
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=patch)
        site.run("once")
        account.bulk_create(org, "clients", 2)
        site.run("once")
        account.create(org, "clients")
        assert site.run("once").code == 0
        yield site, receiver


@contextmanager
def perhaps_running(site, running):
    """The site, with a poller at work or without."""
    if not running:
        yield None
        return
    with site.start() as poller:
        poller.up()
        yield poller
        assert poller.stop().code == 0, poller.err


both = pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])


def states(site):
    return site.query("SELECT state, count(*) FROM delivery GROUP BY 1 ORDER BY 1")


def settled(site, count):
    """Whether so many were delivered in all; where no poller runs, a round is made first."""
    return site.query("SELECT delivered FROM sink")[0][0] == count


def goes_out(site, running, count):
    if not running:
        assert site.run("once").code == 0
    eventually(lambda: settled(site, count))


# dead


@both
def test_dead_list_and_show(parked, running):
    """What is parked, why, and the event whole; for people and for programs."""
    site, receiver = parked
    first, second, last = receiver.records
    with perhaps_running(site, running):
        found = json.loads(site.run("dead", "list", "--json").out)
        assert {(row["sink"], row["id"], row["attempts"]) for row in found} == {
            ("hook", first.id, 1),
            ("hook", second.id, 1),
        }
        assert all("status 422" in row["error"] for row in found)
        text = site.run("dead", "list").out
        assert first.id in text
        assert last.id not in text
        assert site.run("dead", "list", "--trigger", "*.deleted", "--json").out == "[]\n"
        assert [row["id"] for row in json.loads(site.run("dead", "list", "--json", "--id", second.id).out)] == [
            second.id
        ]
        shown = site.run("dead", "show", first.id)
        assert shown.out.encode() == first.body + b"\n"
        assert "parked" in shown.err
        assert "status 422" in shown.err


def test_dead_show_of_nothing(parked):
    """Exit 1, with where to look."""
    done = parked[0].run("dead", "show", "evt_unknown")
    assert (done.code, done.out) == (1, "")
    assert "there is no event evt_unknown; poller dead list" in done.err


@both
def test_dead_retry(parked, running):
    """Those that are chosen, at once, with the same id and bytes."""
    site, receiver = parked
    first = receiver.records[0]
    with perhaps_running(site, running):
        done = site.run("dead", "retry", "--sink", "other")
        assert (done.code, done.err) == (1, "poller: there is no sink other; poller sinks names them\n")
        assert site.run("dead", "retry", "--id", first.id).out == "1 deliveries will be sent again\n"
        goes_out(site, running, 2)
        assert (receiver.records[-1].id, receiver.records[-1].body) == (first.id, first.body)
        assert site.run("dead", "retry").out == "1 deliveries will be sent again\n"
        goes_out(site, running, 3)
    assert states(site) == [("delivered", 3)]


@both
def test_dead_drop(parked, running):
    """For good, and only when asked twice."""
    site, receiver = parked
    with perhaps_running(site, running):
        assert site.run("dead", "drop").code == 1
        assert states(site) == [("delivered", 1), ("parked", 2)]
        assert site.run("dead", "drop", "--yes", "--id", receiver.records[0].id).out.startswith("1 parked")
        assert site.run("dead", "drop", "--yes").out == "1 parked deliveries are forgotten\n"
    assert states(site) == [("delivered", 1)]
    assert site.run("verify").code == 0


# replay


@both
def test_replay(parked, running):
    """Delivered and parked events once more, oldest first; a dry run only counts."""
    site, receiver = parked
    sent = [(record.id, record.body) for record in receiver.records]
    with perhaps_running(site, running):
        assert site.run("replay", "--dry-run").out == "3 deliveries would be sent again\n"
        assert states(site) == [("delivered", 1), ("parked", 2)]
        assert site.run("replay").out == "3 deliveries will be sent again\n"
        goes_out(site, running, 4)
    again = [(record.id, record.body) for record in receiver.records[3:]]
    assert sorted(again) == sorted(sent)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--sink", "hook"], 3),
        (["--trigger", "client.*"], 3),
        (["--trigger", "client.deleted"], 0),
        (["--since", "2020-01-01"], 3),
        (["--since", "2020-01-01T00:00:00+01:00", "--until", "2020-01-02"], 0),
        (["--until", "2999-01-01T00:00:00Z"], 3),
        (["--record", "nobody"], 0),
    ],
)
def test_a_replay_is_of_what_is_chosen(parked, options, count):
    """By any of it."""
    assert parked[0].run("replay", "--dry-run", *options).out == f"{count} deliveries would be sent again\n"


def test_a_replay_to_a_mistyped_sink_is_no_replay_of_nothing(parked):
    """It is said that there is no such sink."""
    done = parked[0].run("replay", "--dry-run", "--sink", "hok")
    assert (done.code, done.out, done.err) == (1, "", "poller: there is no sink hok; poller sinks names them\n")


def test_a_replay_of_nothing(parked):
    """Exit 1, as a script wants to know; and a date has to be one."""
    site, _ = parked
    assert site.run("replay", "--record", "nobody").code == 1
    done = site.run("replay", "--since", "yesterday")
    assert done.code == 2
    assert "'yesterday' is not a date such as 2026-11-01" in done.err


# sinks, pause, resume


@both
def test_a_paused_sink_waits_until_it_is_resumed(tmp_path, api, account, org, running):
    """The others go on; nothing is lost, and it survives a restart."""
    with Receiver() as receiver:
        sinks = webhook("hook", receiver.url) + file("file", tmp_path / "events.jsonl")
        site = Site(tmp_path, api.url, CLIENTS + sinks)
        site.run("once")
        with perhaps_running(site, running):
            done = site.run("pause", "hook")
            assert done.out == "hook is paused; poller resume hook lets it go on\n"
            client = account.create(org, "clients", {"name": "First"})
            if not running:
                assert site.run("once").code == 1
            eventually(lambda: len(lines(tmp_path / "events.jsonl")) == 1)
            account.update(org, "clients", client, {"name": "Second"})
            if not running:
                assert site.run("once").code == 1
            eventually(lambda: len(lines(tmp_path / "events.jsonl")) == 2)
            [_, row] = json.loads(site.run("sinks", "--json").out)
            assert (row["sink"], row["state"], row["pending"]) == ("hook", "paused", 2)
            assert row["error"] == "paused by the operator"
            assert "paused by the operator" in site.run("sinks").out
            assert receiver.records == []
            assert site.run("resume", "hook").out == "hook goes on\n"
            if not running:
                assert site.run("once").code == 0
            eventually(lambda: len(receiver.records) == 2)
    assert [record.id for record in receiver.records] == [event["id"] for event in lines(tmp_path / "events.jsonl")]


def test_fault_50_a_receiver_that_is_gone_pauses_its_sink(tmp_path, api, account, org):
    """It is told at once, asked no more, and gets all of it, in order, once it is resumed."""
    with Receiver(answer(410)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=HASTE)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            client = account.create(org, "clients")
            poller.until(lambda: poller.log("sink.paused"))
            [line] = poller.log("sink.paused")
            assert (line["sink"], line["hint"]) == ("hook", "poller resume hook")
            assert "status 410: gone" in line["reason"]
            account.update(org, "clients", client, {"name": "Changed"})
            account.create(org, "clients")
            poller.until(lambda: site.query("SELECT count(*) FROM delivery") == [(3,)])
            time.sleep(0.5)
            assert len(receiver.records) == 1
            [row] = json.loads(site.run("sinks", "--json").out)
            assert (row["state"], row["error"]) == ("paused", line["reason"])
            poller.stop()
        with site.start() as poller:
            poller.up()
            time.sleep(0.3)
            assert len(receiver.records) == 1
            assert site.run("resume", "hook").code == 0
            poller.until(lambda: states(site) == [("delivered", 3)])
    mine = [record.body for record in receiver.records[1:] if client.encode() in record.body]
    assert [b"client.updated" in body for body in mine] == [False, True]


@both
def test_a_paused_stream_is_not_polled_until_it_is_resumed(tmp_path, api, account, org, running):
    """The others are; what changed meanwhile is found then."""
    site = Site(tmp_path, api.url, only("clients", "items"))
    site.run("once")
    name = f"{org}/clients"
    with perhaps_running(site, running):
        assert site.run("pause", name).code == 0
        assert {row["stream"]: row["state"] for row in site.status()["streams"]}[name] == "paused"
        time.sleep(0.3)  # a poll that was under way
        account.create(org, "clients")
        asked = len(api.requests)
        if not running:
            assert site.run("once").code == 0
        eventually(lambda: len(api.requests) > asked + 4 - 2 * (not running))
        assert not any("/clients" in request.path for request in api.requests[asked:])
        assert site.query("SELECT count(*) FROM event") == [(0,)]
        assert site.run("resume", name).out == f"{name} goes on\n"
        if not running:
            assert site.run("once").code == 0
        eventually(lambda: site.query("SELECT count(*) FROM event") == [(1,)])


@both
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_pausing_what_is_not_there(parked, running, command):
    """Exit 1, with where to look; nothing comes of it."""
    site, _ = parked
    with perhaps_running(site, running):
        done = site.run(command, "nobody")
    assert (done.code, done.out) == (1, "")
    assert "there is no sink and no stream nobody; poller status names them" in done.err
    assert site.query("SELECT count(*) FROM sink") == [(1,)]


# A configuration that is wrong by now

WRONG = {"a word": "[source]\nevery = 5\n", "half a file": "[source\n"}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_poller_that_runs_does_it_all_while_its_configuration_is_mended(parked, org, wrong):
    """It goes by the one that it has read; each command says beside its answer what is wrong with the file."""
    site, receiver = parked
    first, name = receiver.records[0].id, f"{org}/clients"
    answers = [
        (("pause", "hook"), 0, "hook is paused"),
        (("resume", "hook"), 0, "hook goes on"),
        (("pause", name), 0, f"{name} is paused"),
        (("resume", name), 0, f"{name} goes on"),
        (("pause", "nobody"), 1, ""),
        (("approve", name), 1, ""),
        (("reject", "nobody"), 1, ""),
        (("dead", "list"), 0, "sink"),
        (("dead", "show", first), 0, "{"),
        (("dead", "retry", "--sink", "nobody"), 1, ""),
        (("dead", "retry", "--id", first), 0, "1 deliveries will be sent again"),
        (("dead", "drop", "--yes", "--id", first), 0, "0 parked deliveries are forgotten"),
        (("retry",), 0, "1 deliveries will be sent again"),
        (("replay", "--dry-run", "--record", "nobody"), 0, "0 deliveries would be sent again"),
        (("status",), 0, "poller is running"),
        (("sinks",), 0, "sink"),
        (("events",), 0, "20"),
        (("verify",), 0, ""),
    ]
    with site.start() as poller:
        poller.up()
        site.config.write_text(WRONG[wrong] + f'[state]\npath = "{site.database}"\n')
        for command, code, out in answers:
            done = site.run(*command)
            assert (command, done.code, done.out[: len(out)]) == (command, code, out), done.err
            assert done.err.startswith("the configuration cannot be used as it is now:\n"), command
            assert f"{site.config}: " in done.err
        poller.until(lambda: states(site) == [("delivered", 3)])
        assert poller.stop().code == 0


@pytest.mark.parametrize("command", [("pause", "hook"), ("retry",), ("approve", "o/clients"), ("status",)])
def test_nothing_is_done_by_a_wrong_configuration_where_no_poller_runs(parked, command):
    """Exit 78, which says once what is wrong."""
    site, _ = parked
    before = states(site)
    site.config.write_text(WRONG["a word"] + f'[state]\npath = "{site.database}"\n')
    done = site.run(*command)
    assert (done.code, done.out, done.err.count("source.every: should say its unit")) == (78, "", 1)
    assert states(site) == before


# Pressure


def test_polls_pause_while_too_much_is_pending(tmp_path, api, account, org):
    """Deliveries go on; status says why; at 80 % polls go on by themselves, and nothing is lost."""
    sinks = file("slow", tmp_path / "events.jsonl")
    site = Site(tmp_path, api.url, CLIENTS + sinks, patch="from poller import strain\nstrain.EVERY_S = 0.1\n")
    text = site.config.read_text()
    site.config.write_text(text.replace("[state]\n", "[state]\nmax_pending = 10\n"))
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert site.run("pause", "slow").code == 0
        account.bulk_create(org, "clients", 10)
        poller.until(lambda: poller.log("polls.paused"))
        assert site.status()["polls_paused"] == "10 deliveries are pending for sink slow (limit 10)"
        assert "POLLS PAUSE: 10 deliveries are pending for sink slow" in site.run("status").out
        account.create(org, "clients")
        asked = sum("/clients" in request.path for request in api.requests)
        time.sleep(0.5)
        assert sum("/clients" in request.path for request in api.requests) == asked
        assert site.query("SELECT count(*) FROM event") == [(10,)]
        assert site.run("resume", "slow").code == 0
        poller.until(lambda: poller.log("polls.resumed"))
        poller.until(lambda: len(lines(tmp_path / "events.jsonl")) == 11)
        assert site.status()["polls_paused"] == ""
        assert len(poller.log("polls.paused")) == 1


def test_once_under_pressure_says_so(tmp_path, api, account, org):
    """Exit 1, with the reason for each stream; a sink that is gone from the configuration does not count."""
    sinks = file("slow", tmp_path / "events.jsonl")
    site = Site(tmp_path, api.url, CLIENTS + sinks)
    text = site.config.read_text().replace("[state]\n", "[state]\nmax_pending = 2\n")
    site.config.write_text(text)
    site.run("once")
    assert site.run("pause", "slow").code == 0
    account.bulk_create(org, "clients", 2)
    assert "2 deliveries still to be made" in site.run("once").err
    done = site.run("once")
    assert done.code == 1
    assert "2 deliveries are pending for sink slow (limit 2)" in done.err
    site.config.write_text(text.replace(sinks, file("other", tmp_path / "other.jsonl")))
    account.create(org, "clients")
    done = site.run("once")
    assert (done.code, len(lines(tmp_path / "other.jsonl"))) == (0, 1), done.err
