"""Metrics as they are scraped."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from needed import needed
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from scene import samples

from poller.breaker import Breaker
from poller.exposition import PREFIX
from poller.gauges import BY_ORGANIZATION, GAUGES
from poller.meter import ROWS, Meter
from poller.metrics import Scrape, render, values
from poller.model import Change, Kind, Stream
from poller.plan import Gate, Plan, Target, Watch
from poller.reload import Reloaded
from poller.report import _state
from poller.shares import Requests, Span
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Outgoing, Progress, Settlement, Standing, Step, Verdict
from poller.stores.sqlite import SqliteStore

NOW_MS = 1_790_000_000_000
TEN = [name for name, row in RESOURCES.items() if not row.opt_in]
PLAN = Plan({name: Watch(RESOURCES[name], 60.0, 3600.0, 5.0) for name in TEN}, sinks=(Target("hook"),))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "poller.db"


@pytest.fixture
def store(path):
    store = SqliteStore(path, "spaceinvoices")
    yield store
    store.close()


@pytest.fixture
def scrape(path, store):
    return Scrape(Meter(), path, PLAN, ["hook"], NOW_MS)


def follow(store, org, resource="clients", **standing):
    """A stream that stands like this; keys that belong to its progress go there."""
    progress = Progress(
        baselined_ms=1, **{key: standing.pop(key) for key in ("live", "missing", "held_ms") if key in standing}
    )
    stream = Stream(org, resource)
    store.standing(stream)
    store.commit(stream, Step(progress), NOW_MS)
    store.schedule(replace(Standing(stream, progress), **standing))
    return stream


def test_it_passes_promtool(scrape):
    """Names, units, types and help texts are as Prometheus recommends."""
    scrape.meter.begin(resource=TEN, sink=["hook"], trigger=["client.created"])
    command = [needed("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=render(scrape).body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", prometheus),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", prometheus),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            openmetrics,
        ),
    ],
)
def test_it_speaks_the_format_that_is_asked_for(scrape, store, accept, content_type, parse):
    """And says the same in each of them."""
    follow(store, "o", live=7)
    scrape.meter.begin(resource=TEN, sink=["hook"], trigger=["client.created"])
    answer = render(scrape, accept)
    assert answer.content_type.startswith(content_type)
    found = samples(answer.body, parse)
    assert found["poller_records", ("resource", "clients")] == 7
    assert found["poller_polls_total", ("outcome", "ok"), ("resource", "clients")] == 0
    assert found["poller_request_seconds_bucket", ("le", "+Inf")] == 0


def test_a_histogram_is_told_by_growing_buckets(scrape):
    """Each bucket holds those below it; the last one is the count."""
    scrape.meter.observe("request_seconds", 0.001, 0.3, 99.0)
    found = samples(render(scrape).body)
    bounds = {"0.005": 1, "0.25": 1, "0.5": 2, "30.0": 2, "+Inf": 3}
    assert {bound: found["poller_request_seconds_bucket", ("le", bound)] for bound in bounds} == bounds
    assert found["poller_request_seconds_count",] == 3
    assert found["poller_request_seconds_sum",] == pytest.approx(99.301)


def test_all_families_are_told_once(scrape):
    """Under their names of the tables."""
    names = [family.name for family in prometheus(render(scrape).body.decode())]
    assert sorted(names) == sorted({*names})
    assert {name for name in names if not name.startswith("process_")} == {PREFIX + name for name in (*ROWS, *GAUGES)}


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("following", {}),
        ("failing", {"failures": 1}),
        ("suspended", {"failures": 1, "suspended": True}),
        ("held", {"held_ms": 1, "missing": 12, "failures": 1}),
        ("paused", {"suspended": True}),
    ],
)
def test_streams_are_counted_by_the_state_that_the_status_shows(scrape, store, state, standing):
    """One in this state, none in any other."""
    stream = follow(store, "o", **standing)
    store.pause_stream(stream.name, paused=state == "paused")
    assert _state(store.standing(stream)) == state
    found = values(scrape)["streams"]
    assert {key for key, number in found.items() if number} == {("clients", state)}
    assert len(found) == len(TEN) * 6


def test_a_stream_without_a_baseline_is_counted_as_such(scrape, store):
    """It is one before its first complete listing."""
    store.standing(Stream("o", "units"))
    assert values(scrape)["streams"]["units", "baseline"] == 1


def test_freshness_is_that_of_the_stream_that_is_behind_most(scrape, store):
    """Its last good poll, and how long it waits for one that is due; those that are not polled do not count."""
    follow(store, "a", polled_ms=NOW_MS - 50_000, next_poll_ms=NOW_MS + 10_000)
    follow(store, "b", polled_ms=NOW_MS - 90_000, next_poll_ms=NOW_MS - 30_000)
    follow(store, "c", polled_ms=NOW_MS - 900_000, next_poll_ms=NOW_MS - 700_000, suspended=True)
    follow(store, "d", "units")
    found = values(scrape)
    assert found["stream_oldest_poll_timestamp_seconds"] == {("clients",): NOW_MS / 1000 - 90}
    assert found["stream_overdue_seconds"] == {("clients",): 30.0, ("units",): 0.0}
    assert found["stream_interval_seconds"]["clients",] == 60.0


def test_under_a_budget_a_stream_may_wait_for_as_long_as_it_may(scrape, store):
    """Freshness is judged by the longest interval: a stream within it raises no alarm."""
    watches = {"clients": Watch(RESOURCES["clients"], 60.0, 3600.0, 5.0, longest_s=7200.0)}
    follow(store, "o", polled_ms=NOW_MS - 7_100_000)
    found = values(replace(scrape, plan=Plan(watches, budget=0.5)))
    behind_s = NOW_MS / 1000 - found["stream_oldest_poll_timestamp_seconds"]["clients",]
    assert found["stream_interval_seconds"]["clients",] == 7200.0
    assert behind_s < 900 + 3 * found["stream_interval_seconds"]["clients",]  # as PollerStreamNotFresh has it


def test_what_requests_there_are_is_told(scrape):
    """The limit, and what refusals left of it; a budget only where there is one."""
    found = values(replace(scrape, requests=Requests(20.0, 12.5, None)))
    assert (found["request_rate_limit"][()], found["request_rate"][()]) == (20.0, 12.5)
    assert "request_budget" not in found
    found = values(replace(scrape, requests=Requests(2.0, 2.0, 2.0), spans={"clients": Span(5.0, 420.0)}))
    assert found["request_budget"] == {(): 2.0}
    planned = {("clients", "shortest"): 5.0, ("clients", "longest"): 420.0}
    assert found["stream_planned_interval_seconds"] == planned


def test_records_are_summed_over_organizations(scrape, store):
    """Live ones, missing ones, and of these the ones that are held."""
    follow(store, "a", live=100, missing=3)
    follow(store, "b", live=50, missing=20, held_ms=NOW_MS)
    found = values(scrape)
    assert [found[name]["clients",] for name in ("records", "records_missing", "deletions_held")] == [150, 23, 20]


def test_organizations_are_told_apart_only_if_asked(scrape, store):
    """By a label of five gauges; all others are as they were."""
    for org in ("a", "b"):
        follow(store, org, live=1, polled_ms=NOW_MS)
    apart = render(replace(scrape, organizations=True))
    assert b"organization=" not in render(scrape).body
    assert {name for name, *labels in samples(apart.body) if "organization" in dict(labels)} == {
        PREFIX + name for name in BY_ORGANIZATION
    }
    assert samples(apart.body)["poller_records", ("organization", "a"), ("resource", "clients")] == 1


def test_what_is_no_longer_followed_is_left_out(scrape, store):
    """A resource that is switched off tells nothing."""
    follow(store, "o", "price_lists", live=3)
    found = values(scrape)
    assert ("price_lists",) not in found["records"]
    assert not any(found["streams"].values())


def tell(store, *targets, now_ms=NOW_MS):
    """Commit an event that goes there."""
    number = store._one("SELECT count(*) FROM event")[0]
    change = Change(Kind.CREATED, f"r{number}", 0, 0, b"digest", b'{"id":"r"}')
    step = Step(Progress(baselined_ms=1), outgoing=[Outgoing(change, "client.created", targets)])
    store.commit(Stream("o", "clients"), step, now_ms)


def test_a_backlog_is_as_old_as_what_should_have_been_made(scrape, store):
    """What a route puts off is pending, but not late; a sink with nothing to do waits for nothing."""
    tell(store, Target("hook"), now_ms=NOW_MS - 5000)
    tell(store, Target("hook"), Target("later", route="tomorrow", delay_s=86400.0), now_ms=NOW_MS - 3000)
    found = values(replace(scrape, sinks=["hook", "idle"]))
    assert found["sink_pending_deliveries"] == {("hook",): 2, ("later",): 1, ("idle",): 0}
    assert found["sink_backlog_age_seconds"] == {("hook",): 5.0, ("later",): 0.0, ("idle",): 0.0}


def test_what_waits_for_a_person_is_told(scrape, store):
    """What is parked, once without a sink since nobody could tell where it goes; what a route holds."""
    gate = Gate(flood=1, per_s=60.0)
    for _ in range(3):
        tell(store, Target("hook", route="mail", gate=gate), Target("", route="odd", error="the condition failed"))
    found = values(scrape)
    assert found["sink_parked_deliveries"] == {("hook",): 0, ("",): 3}
    assert found["route_held_deliveries"] == {("mail",): 2}
    assert ("poller_sink_parked_deliveries", ("sink", "")) in samples(render(scrape).body)


def test_a_sink_is_in_one_state(scrape, store):
    """That of its breaker; one that never had anything to do is well."""
    opened = Breaker(opened_ms=NOW_MS, failures=5)
    store.settle("open", lambda before: Verdict([], before, opened), NOW_MS)
    store.pause("hook", "an operator", NOW_MS)
    found = values(replace(scrape, sinks=["hook", "idle"]))["sink_state"]
    assert {key for key, inside in found.items() if inside} == {("hook", "paused"), ("open", "open"), ("idle", "ok")}
    assert len(found) == 3 * 4


def test_the_last_yes_of_a_receiver_is_told(scrape, store):
    """As the time at which that was."""
    tell(store, Target("hook"))
    [delivery] = store.due("hook", NOW_MS, 1)
    done = Settlement(delivery.sequence, "delivered", 1, 0, NOW_MS)
    store.settle("hook", lambda before: Verdict([done], before, before), NOW_MS + 2000)
    assert values(scrape)["sink_last_delivery_timestamp_seconds"] == {("hook",): NOW_MS / 1000 + 2}


def test_sizes_are_those_of_the_files(scrape, store, path):
    """Of the database, of its log, and of the disk that they lie on."""
    tell(store, Target("hook"))
    found = values(scrape)
    assert found["database_bytes"][()] == path.stat().st_size > 0
    assert found["database_used_bytes"][()] > 0
    assert found["database_log_bytes"][()] == path.with_name("poller.db-wal").stat().st_size > 0
    assert 0 < found["disk_free_bytes"][()] < found["disk_size_bytes"][()]


@pytest.mark.skipif(sys.platform != "linux", reason="process metrics are read from /proc")
def test_the_process_is_told_by_its_own_folder_alone(scrape, monkeypatch):
    """As a unit with ``ProcSubset=pid`` sees it: by the usual names, and its start is in the past."""
    found = samples(render(scrape).body)
    assert 10 << 20 < found["process_resident_memory_bytes",] < 4 << 30
    assert found["process_cpu_seconds_total",] > 0
    assert found["process_open_fds",] < found["process_max_fds",]
    assert 0 < time.time() - found["process_start_time_seconds",] < 7 * 86400


def test_a_state_that_cannot_be_read_leaves_the_rest(scrape, tmp_path):
    """It says so, and tells all that it knows without."""
    blind = replace(scrape, state=tmp_path / "elsewhere.db", pressed="the disk is full", sighted=False)
    found = samples(render(blind).body)
    assert found["poller_state_readable",] == 0
    assert found["poller_polls_paused",] == 1
    assert found["poller_last_lookup_successful",] == 0
    assert [value for (name, *_), value in found.items() if name == "poller_build_info"] == [1]
    assert ("poller_database_bytes",) not in found


def test_a_configuration_that_was_never_reloaded_is_well(scrape):
    """And has no time."""
    found = samples(render(scrape).body)
    assert found["poller_config_last_reload_successful",] == 1
    assert ("poller_config_last_reload_timestamp_seconds",) not in found


def test_a_reload_that_failed_is_told(scrape):
    """With its time."""
    found = samples(render(replace(scrape, reloaded=Reloaded(ok=False, at_ms=1_500))).body)
    assert found["poller_config_last_reload_successful",] == 0
    assert found["poller_config_last_reload_timestamp_seconds",] == 1.5
