"""Every counter and histogram moves by what it is there for: the service, a simulated account, a real receiver."""

import signal
import subprocess
import time
from collections import defaultdict
from urllib.parse import urlsplit

import httpx
import pytest
from needed import needed
from process import SECRET, TOKEN, Site, file, only
from receiver import answer
from scene import Scene, samples

from poller import retry
from poller.model import Stream
from poller.service import wall_ms
from poller.simulator import Account, Simulator
from poller.simulator.faults import rate_limited, reset, server_error, unauthorized
from poller.sources import spaceinvoices
from poller.stores import Keep

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    """Secrets in the environment, and no waits."""
    monkeypatch.setenv("POLLER_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("POLLER_TEST_SECRET", SECRET)
    monkeypatch.setattr(spaceinvoices, "BACKOFF_S", 0.001)
    monkeypatch.setattr(retry, "EVENT_WAITS_S", (0.0,))


@pytest.fixture
def scene(tmp_path):
    with Scene(tmp_path, records=30) as scene:
        scene.poll()
        yield scene


@pytest.fixture
def moved(scene):
    """What an act of the test added to every sample."""

    def after(act):
        before = scene.found()
        act()
        return defaultdict(float, {key: value - before.get(key, 0.0) for key, value in scene.found().items()})

    return after


@pytest.fixture
def org(scene):
    return scene.orgs[0]


def test_everything_begins_at_nothing(tmp_path):
    """So that Prometheus sees the first of anything as an increase."""
    with Scene(tmp_path) as scene:
        found = scene.found()
    assert found["events_total", "client.deleted"] == 0
    assert found["attempts_total", "later", "hook"] == 0
    assert found["polls_total", "denied", "clients"] == 0


def test_a_change_is_counted_on_its_whole_way(scene, moved, org):
    """Poll, request, event, attempt, delivery, and how long it took from its commit to the yes."""
    scene.account.create(org, "clients")
    found = moved(scene.poll)
    assert found["polls_total", "ok", "clients"] == found["poll_seconds_count", "clients"] == 1
    assert found["requests_total", "2xx"] == found["request_seconds_count",] >= 2
    assert found["rate_wait_seconds_total",] > 0
    assert found["events_total", "client.created"] == found["records", "clients"] == 1
    assert found["attempts_total", "delivered", "hook"] == found["deliveries_total", "delivered", "hook"] == 1
    assert found["send_seconds_count", "hook"] == found["delivery_seconds_count", "hook"] == 1
    assert 0 <= found["delivery_seconds_sum", "hook"] < 60


def test_what_is_as_it_was_is_counted_as_unchanged(scene, moved):
    """By a listing of bodies, and by one of stamps."""
    found = moved(lambda: scene.poll(full=True))
    assert found["records_seen_total", "clients"] == found["records_unchanged_total", "clients"] >= 30
    assert found["events_total", "client.updated"] == 0


def test_a_sweep_of_stamps_counts_each_record_once(scene, moved, org):
    """Those that it asks for whole too."""
    scene.service.store.sweep_soon(Stream(org, "clients"))
    scene.account.clock = lambda: wall_ms() - HOUR_MS
    scene.account.create(org, "clients")
    scene.account.clock = wall_ms
    stamps = [seen for seen in scene.api.requests if "fields" in (seen.filter or {})]
    found = moved(scene.poll)
    assert len([seen for seen in scene.api.requests if "fields" in (seen.filter or {})]) > len(stamps)
    assert found["records_seen_total", "clients"] - found["records_unchanged_total", "clients"] == 1


def test_a_record_that_shows_up_late_is_counted(scene, moved, org):
    """Its stamp is of an hour ago: no increment shows it, a sweep does."""
    scene.account.clock = lambda: wall_ms() - HOUR_MS
    scene.account.create(org, "clients")
    scene.account.clock = wall_ms
    found = moved(lambda: scene.poll(full=True))
    assert found["records_late_total", "clients"] == found["events_total", "client.created"] == 1


def test_what_an_increment_shows_is_not_late(scene, moved, org):
    """Also where a sweep follows in the same poll."""
    scene.account.create(org, "clients")
    found = moved(lambda: scene.poll(full=True))
    assert (found["records_late_total", "clients"], found["events_total", "client.created"]) == (0, 1)


def test_a_record_that_cannot_be_read_is_counted(scene, moved, org):
    """Each time, and among those that are in quarantine once."""
    scene.account.put_raw(org, "clients", "f" * 24, b'{"id":"' + b"f" * 24 + b'","name":NaN}')
    found = moved(lambda: [scene.poll(full=True), scene.poll(full=True)])
    assert found["records_quarantined_total", "clients"] >= 2
    assert found["quarantine_records", "clients"] == 1


def test_a_count_that_disagrees_and_deletions_that_are_held_are_counted(scene, moved, org):
    """Twenty of thirty vanish at once."""
    for record in list(scene.account.live(org, "clients"))[:20]:
        scene.account.hard_delete(org, "clients", record)
    found = moved(scene.poll)
    assert found["count_disagreements_total", "clients"] == found["holds_total", "clients"] == 1
    assert found["deletions_held", "clients"] == found["records_missing", "clients"] == 20
    assert found["streams", "clients", "held"] == 1


@pytest.mark.parametrize(
    ("fault", "status", "outcome"),
    [
        (server_error, "5xx", "failed"),
        (rate_limited("0"), "429", "failed"),
        (reset, "none", "failed"),
        (unauthorized, "4xx", "denied"),
    ],
)
def test_trouble_of_the_api_is_counted(scene, moved, fault, status, outcome):
    """By the class of its status, with every try, and by what became of the poll."""
    scene.api.faults.always(fault)
    found = moved(scene.poll)
    assert found["polls_total", outcome, "clients"] == 1
    assert found["requests_total", status] == (1 if outcome == "denied" else spaceinvoices.TRIES)
    assert found["requests_total", "2xx"] == 0


def test_a_poll_that_is_left_for_later_is_counted(scene, moved, org):
    """And its time is not."""
    scene.service.store.pause_stream(f"{org}/clients", paused=True)
    found = moved(scene.poll)
    assert (found["polls_total", "paused", "clients"], found["poll_seconds_count", "clients"]) == (1, 0)


@pytest.mark.parametrize(
    ("status", "attempt", "parked", "state"),
    [(400, "refused", 1, "ok"), (503, "later", 0, "failing"), (410, "gone", 0, "paused")],
)
def test_trouble_of_a_receiver_is_counted(tmp_path, status, attempt, parked, state):
    """By what was answered, by what became of the delivery, and in how the sink stands."""
    with Scene(tmp_path, always=answer(status)) as scene:
        scene.poll()
        scene.account.create(scene.orgs[0], "clients")
        scene.poll()
        found = scene.found()
    assert found["attempts_total", attempt, "hook"] == 1
    assert found["deliveries_total", "parked", "hook"] == found["sink_parked_deliveries", "hook"] == parked
    assert found["sink_pending_deliveries", "hook"] == 1 - parked
    assert [key for key, value in found.items() if key[0] == "sink_state" and value] == [("sink_state", "hook", state)]
    assert (found["sink_backlog_age_seconds", "hook"] > 0) == (parked == 0)


def test_what_expires_is_counted_as_parked(tmp_path):
    """Once, however many chunks it takes, and by its sink."""
    with Scene(tmp_path, always=answer(503)) as scene:
        scene.poll()
        scene.account.create(scene.orgs[0], "clients")
        scene.account.create(scene.orgs[0], "clients")
        scene.poll()
        assert scene.found()["deliveries_total", "parked", "hook"] == 0
        time.sleep(0.01)
        for _ in range(2):
            scene.service.tidy(Keep(pending_s=0.001))
            found = scene.found()
            assert found["deliveries_total", "parked", "hook"] == found["sink_parked_deliveries", "hook"] == 2


def test_what_no_route_can_tell_is_counted_as_parked(tmp_path):
    """Without a sink, from 0 on: a condition failed of it."""
    unclear = '[[route]]\non = ["client.created"]\nwhen = "lower(data.nothing) == data.name"\nto = ["hook"]\n'
    with Scene(tmp_path, routes=unclear) as scene:
        scene.poll()
        assert scene.found()["deliveries_total", "parked", ""] == 0
        scene.account.create(scene.orgs[0], "clients")
        scene.poll()
        found = scene.found()
    assert found["deliveries_total", "parked", ""] == found["sink_parked_deliveries", ""] == 1
    assert found["deliveries_total", "parked", "hook"] == 0


def test_defects_are_counted(scene, moved, org, monkeypatch):
    """Of each loop."""
    monkeypatch.setattr("poller.service.poll", lambda *_, **__: 1 / 0)
    assert moved(scene.poll)["defects_total", "poll"] == 1
    monkeypatch.undo()
    monkeypatch.setattr(retry, "EVENT_WAITS_S", (0.0,))
    monkeypatch.setattr(scene.service.drains[0].sink, "send", lambda _: 1 / 0)
    scene.account.create(org, "clients")
    assert moved(scene.poll)["defects_total", "drain"] == 1


@pytest.mark.parametrize(("organizations", "records"), [(50, 10), (1, 5000)])
def test_there_are_no_more_series_for_more_records_or_organizations(tmp_path, organizations, records):
    """The same lines, but for their numbers."""
    found = []
    for place, (orgs, many) in enumerate([(1, 10), (organizations, records)]):
        with Scene(tmp_path / str(place), organizations=orgs, records=many) as scene:
            scene.poll()
            scene.account.create(scene.orgs[0], "clients")
            scene.poll()
            found.append(scene.found())
            size_bytes = len(scene.rendered().body)
    assert found[0].keys() == found[1].keys()
    assert found[1]["records", "clients"] == organizations * records + 1
    assert size_bytes < 20_000


def told(poller):
    """What the endpoint of a process tells, as ``Scene.found``; promtool has nothing to say against it."""
    address = poller.log("http.listening")[0]["address"]
    url = f"http://{urlsplit(f'//{address}').netloc}/metrics"
    body = httpx.get(url, trust_env=False, timeout=30).raise_for_status().content
    done = subprocess.run([needed("promtool"), "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return {(name, *(value for _, value in labels)): value for (name, *labels), value in samples(body).items()}


def test_a_reload_is_counted_and_forgets_no_count(tmp_path):
    """What the old configuration counted and what the new one does are one count, told by the real process."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    listening = '[http]\nlisten = "127.0.0.1:0"\n' + only("clients")
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, listening + file("one", tmp_path / "one.jsonl"))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            rounds = [({"one": 1}, site.config.read_text() + file("two", tmp_path / "two.jsonl")), (BOTH, "nonsense")]
            for number, (wanted, text) in enumerate(rounds, 1):
                account.create(account.organizations[0], "clients")
                poller.until(lambda wanted=wanted: delivered(told(poller)) == wanted)
                site.config.write_text(text)
                poller.signal(signal.SIGHUP)
                poller.until(lambda number=number: len(reloads(told(poller))) == number)
            found = told(poller)
            assert poller.stop().code == 0
    assert reloads(found) == {"ok", "failed"}
    assert found["poller_config_last_reload_successful",] == 0
    assert found["poller_events_total", "client.created"] == 2
    assert delivered(found) == BOTH


BOTH = {"one": 2, "two": 1}
"""What each sink took: the second one came with the reload."""


def delivered(found):
    """How many deliveries each sink took, of those that took any."""
    return {
        key[2]: number
        for key, number in found.items()
        if key[:2] == ("poller_deliveries_total", "delivered") and number
    }


def reloads(found):
    """The outcomes that there were."""
    return {outcome for outcome in ("ok", "failed") if found["poller_reloads_total", outcome]}
