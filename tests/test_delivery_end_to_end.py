"""Receivers in trouble: the event arrives later, once it can; other sinks do not wait."""

import socket
import time

import pytest
from process import HASTE, SECRET, STDOUT, Site, file, lines, only, webhook
from receiver import Receiver, answer, close, cut, delay, flood, hang, hang_after_head, noise, redirect, reset

CLIENTS = only("clients")
SHORT = {"timeout": "300ms"}


@pytest.fixture
def site(tmp_path, api):
    """Make a site with a webhook, a file and standard output."""

    def make(receiver, patch=HASTE, **keys):
        sinks = webhook("hook", receiver.url, **keys) + file("file", tmp_path / "events.jsonl") + STDOUT
        made = Site(tmp_path, api.url, CLIENTS + sinks, patch=patch)
        made.lines = tmp_path / "events.jsonl"
        return made

    return make


def delivered(site):
    """How many deliveries of the webhook are done."""
    return site.query("SELECT count(*) FROM delivery WHERE sink = 'hook' AND state = 'delivered'")[0][0]


TROUBLE = {
    "hangs": hang(),
    "hangs after a redirect's head": hang_after_head(302),
    "closes": close(),
    "resets": reset(),
    "floods": flood(),
    "says 500": answer(500),
    "says 500 and cuts": cut(500),
    "says 404": answer(404),
    "says 403": answer(403),
    "says 429": answer(429, [("Retry-After", "0")]),
    "says 503": answer(503, [("Retry-After", "0")]),
    "speaks no HTTP": noise(),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_fault_46_47_the_event_arrives_later_and_other_sinks_do_not_wait(site, account, org, trouble):
    """Twice it meets the trouble, then it arrives: the same id, the same bytes, signed anew each time."""
    with Receiver(trouble, trouble) as receiver:
        made = site(receiver, **SHORT)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: poller.events() and lines(made.lines))
            assert len(receiver.records) < 3
            poller.until(lambda: delivered(made) == 1)
            assert poller.stop().code == 0
    first, second, third = receiver.records
    assert first.id == second.id == third.id == poller.events()[0]["id"] == lines(made.lines)[0]["id"]
    assert {record.body for record in receiver.records} == {made.lines.read_bytes().rstrip(b"\n")}
    for record in receiver.records:
        record.verify(SECRET)
        assert 0 <= record.time_s - int(record.headers["webhook-timestamp"]) < 2


def test_fault_49_a_redirect_is_not_followed(site, account, org):
    """Not to another host, not with the event; the log names the host alone."""
    with Receiver() as other, Receiver(redirect(other.url + "?canary", 307), redirect(other.url, 308)) as receiver:
        made = site(receiver)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: delivered(made) == 1)
            failed = poller.log("delivery.failed")
    assert other.records == []
    assert "redirected to 127.0.0.1, which is not followed" in failed[0]["reason"]
    assert "canary" not in poller.err


class Returning(Receiver):
    """A receiver at the port where one was before."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._start(self._accept)
        return self


def test_nobody_there_at_first(site, account, org):
    """A receiver that is not up yet gets everything once it is, in order per record."""
    with Receiver() as gone:
        made = site(gone)
    with made.start() as poller:
        poller.until(lambda: made.baselined(1))
        client = account.create(org, "clients", {"name": "First"})
        poller.until(lambda: len(poller.events()) == 1)
        account.update(org, "clients", client, {"name": "Second"})
        poller.until(lambda: len(poller.events()) == 2)
        poller.until(lambda: "connection refused" in poller.log("delivery.failed")[0]["reason"])
        later = Returning()
        later.port = gone.port
        with later:
            poller.until(lambda: delivered(made) == 2)
    assert [record.id for record in later.records] == [event["id"] for event in poller.events()]


def test_fault_51_retry_after_is_kept(site, account, org):
    """The whole sink waits as long as it was asked to, also over a restart."""
    with Receiver(answer(429, [("Retry-After", "3")])) as receiver:
        made = site(receiver)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            account.create(org, "clients")
            waits = "SELECT breaker ->> 'wait_until_ms' > 0 FROM sink WHERE name = 'hook'"
            poller.until(lambda: receiver.records and made.query(waits) == [(1,)])
            account.create(org, "clients")
            poller.until(lambda: len(poller.events()) == 2)
            poller.kill()
        with made.start() as poller:
            poller.until(lambda: delivered(made) == 2)
    first, *rest = receiver.records
    assert [record.time_s - first.time_s >= 2.9 for record in rest] == [True, True]


def test_the_first_wait_is_five_seconds(site, account, org):
    """By the policy, give or take a fifth; nothing is shortened here."""
    with Receiver(answer(500)) as receiver:
        made = site(receiver, patch="")
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: delivered(made) == 1)
    first, second = receiver.records
    assert 4 <= second.time_s - first.time_s < 7.5
    assert (first.id, first.body) == (second.id, second.body)
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])


def test_fault_46_a_hanging_receiver_delays_no_other_and_no_poll(site, account, org):
    """Changes go on to arrive elsewhere at once, while one hangs for its whole timeout."""
    with Receiver(always=hang()) as receiver:
        made = site(receiver, timeout="30s")
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            for number in range(1, 6):
                account.create(org, "clients")
                poller.until(lambda: len(poller.events()) == len(lines(made.lines)) == number, 2)  # noqa: B023
            assert len(receiver.records) <= 4
            poller.kill()


def test_order_is_kept_per_record_through_trouble(site, account, org):
    """Updates of one record wait for each other, whatever happens to each."""
    with Receiver(answer(500), delay(0.2), reset(), answer(400), answer(503, [("Retry-After", "0")])) as receiver:
        made = site(receiver)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            client = account.create(org, "clients")
            for number in range(1, 6):
                poller.until(lambda: len(poller.events()) == number)  # noqa: B023
                account.update(org, "clients", client, {"name": f"Name {number}"})
            poller.until(lambda: delivered(made) == 6)
    ids = [record.id for record in receiver.records]
    assert list(dict.fromkeys(ids)) == [event["id"] for event in poller.events()]
    assert ids == sorted(ids, key=ids.index)


def test_fault_52_a_refused_event_holds_up_its_own_record_only(site, account, org):
    """It is tried again, then parked; meanwhile others go on, and its successor waits without a busy loop."""
    patch = "from poller import retry\nretry.EVENT_WAITS_S = (0.0, 1.5)\n"
    with Receiver(answer(422), answer(), answer(422)) as receiver:
        made = site(receiver, patch=HASTE + patch)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            refused = account.create(org, "clients", {"name": "Refused"})
            poller.until(lambda: poller.log("delivery.failed"))
            account.update(org, "clients", refused, {"name": "Waits"})
            account.create(org, "clients", {"name": "Free"})
            poller.until(lambda: delivered(made) == 1)
            before_s = poller.cpu_s()
            time.sleep(0.5)
            assert poller.cpu_s() - before_s < 0.25
            poller.until(lambda: poller.log("delivery.parked"))
            poller.until(lambda: delivered(made) == 2)
            names = [record.body.count(b'"Waits"') for record in receiver.records]
            assert names == [0, 0, 0, 1]
            assert made.run("retry", "--sink", "hook").code == 0
            poller.until(lambda: delivered(made) == 3)
    assert receiver.records[-1].id == receiver.records[0].id
    assert receiver.records[-1].body == receiver.records[0].body
    assert [record.attempt for record in receiver.records] == [1, 1, 2, 1, 1]


def test_a_file_that_cannot_be_written_gets_all_later(site, account, org):
    """A folder that is missing for a while costs nothing; the webhook does not wait for it."""
    with Receiver() as receiver:
        made = site(receiver)
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            made.lines.unlink()
            made.lines.mkdir()
            account.create(org, "clients")
            poller.until(lambda: delivered(made) == 1)
            poller.until(lambda: poller.log("delivery.failed"))
            made.lines.rmdir()
            poller.until(lambda: lines(made.lines))
    assert [event["id"] for event in lines(made.lines)] == [record.id for record in receiver.records]
