"""Operator events: what is told, when, under which id, and to whom."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import envelope
from poller.breaker import Breaker
from poller.expression import condition
from poller.model import Stream, format_time
from poller.notices import (
    FAILURES,
    NOTICES,
    OVERDUE_S,
    baseline_completed,
    deletions_held,
    failing_since,
    sink_turned,
    stream_failing,
    stream_silent,
    targets,
)
from poller.plan import Case, Plan, Route, Target
from poller.route import anew, names, scope, scope_of
from poller.samples import example
from poller.shape import VARIABLES
from poller.triggers import EVERY, TRIGGERS

NOW_MS = 1_790_000_000_000
CLIENTS = Stream("66f1", "clients")
UP, DOWN = Breaker(), Breaker(opened_ms=NOW_MS, down_ms=NOW_MS, error="HTTP 503")
FAILING = sink_turned("crm", UP, DOWN, NOW_MS)


def plan(*routes):
    made = tuple(Route(tuple(on), (Case(tuple(to)),), f"r{number}") for number, (on, to) in enumerate(routes))
    return Plan({}, made, sinks=(Target("crm"), Target("ops")))


def sealed(notice, now_ms=NOW_MS):
    change = notice.change()
    return envelope.seal(
        "spaceinvoices", notice.stream, notice.trigger, change, ordinal=1, sequence=now_ms * 1000, now_ms=now_ms
    )


def told(notice):
    return json.loads(sealed(notice).body)


# Who gets them


@pytest.mark.parametrize("patterns", [["*"], ["*.*"], ["*.failing"], ["client.*"], ["po*"], ["*.created", "?oller.*"]])
def test_no_pattern_takes_them_by_the_way(patterns):
    """Only one that begins with ``poller.`` means them."""
    assert targets(plan((patterns, ["ops"])), "spaceinvoices", FAILING, NOW_MS) == ()


@pytest.mark.parametrize("pattern", ["poller.sink.failing", "poller.sink.*", "poller.*", "poller.*.failing"])
def test_a_route_that_names_them_takes_them(pattern):
    """By name or by pattern, beside others."""
    assert targets(plan((["client.created", pattern], ["ops"])), "spaceinvoices", FAILING, NOW_MS) == (Target("ops"),)


def test_without_routes_nobody_gets_them():
    """Not even the sinks that get everything."""
    assert targets(plan(), "spaceinvoices", FAILING, NOW_MS) == ()


@given(st.sampled_from(EVERY), st.sampled_from(["*", "*.created", "p*", "client.*", "poller.*", "poller.sink.failing"]))
def test_a_pattern_that_does_not_say_poller_is_of_records_only(trigger, pattern):
    """And of records every pattern is what it was."""
    own = trigger in NOTICES
    assert names(pattern, trigger) == (fnmatchcase(trigger, pattern) and own == pattern.startswith("poller."))


@pytest.mark.parametrize("trigger", ["poller.sink.failing", "poller.sink.recovered"])
def test_a_sink_is_not_told_of_itself(trigger):
    """There it would wait behind what it tells of; the others are told, and a parked one goes nowhere else anew."""
    notice = FAILING if trigger.endswith("failing") else sink_turned("crm", DOWN, UP, NOW_MS)
    routes = plan((["poller.*"], ["crm", "ops"]))
    assert targets(routes, "spaceinvoices", notice, NOW_MS) == (Target("ops"),)
    assert anew(routes, "r0", sealed(notice).body) == (Target("ops"),)


def test_a_stream_of_a_sinks_name_is_no_sink():
    """Only what is about sinks is kept from one."""
    notice = deletions_held(Stream("o", "crm"), NOW_MS, 11, 5)
    routes = plan((["poller.*"], ["o/crm", "crm"]))
    assert [target.sink for target in targets(routes, "spaceinvoices", notice, NOW_MS)] == ["o/crm", "crm"]


def test_a_condition_speaks_of_them_as_of_records():
    """Of the event, and of what it tells as its data."""
    case = Case(("ops",), condition("event.record_id == 'crm' && contains(data.reason, '503')", VARIABLES))
    one = Plan({}, (Route(("poller.sink.failing",), (case,)),))
    assert targets(one, "spaceinvoices", FAILING, NOW_MS) == (Target("ops"),)
    other = sink_turned("crm", UP, Breaker(down_ms=NOW_MS, error="no answer"), NOW_MS)
    assert targets(one, "spaceinvoices", other, NOW_MS) == ()


# What they say


def test_the_envelope_of_a_sinks_event():
    """Of no organization; its time is when it happened."""
    event = told(FAILING)
    assert event["type"] == "com.spaceinvoices.poller.sink.failing"
    assert (event["source"], event["subject"], event["partitionkey"]) == ("/spaceinvoices", "sinks/crm", "sinks/crm")
    assert event["time"] == format_time(NOW_MS)
    assert event["data"] == {
        "object": {"id": "crm", "since": format_time(NOW_MS), "paused": False, "reason": "HTTP 503"}
    }


def test_the_envelope_of_a_streams_event():
    """Of its organization; the id is the stream's name, as commands take it."""
    event = told(deletions_held(CLIENTS, NOW_MS, 312, 800))
    assert event["source"] == "/spaceinvoices/organizations/66f1"
    assert (event["subject"], event["partitionkey"]) == ("streams/66f1/clients", "66f1/streams/66f1/clients")
    assert event["data"]["object"] == {
        "id": "66f1/clients",
        "organization": "66f1",
        "resource": "clients",
        "since": format_time(NOW_MS),
        "missing": 312,
        "records": 800,
    }


def test_a_reason_with_anything_in_it_stays_one_line_of_json():
    """It came from a receiver."""
    reason = 'no\n"\u2028\ud800'
    notice = sink_turned("crm", UP, Breaker(down_ms=1, error=reason), NOW_MS)
    assert b"\n" not in sealed(notice).body
    assert told(notice)["data"]["object"]["reason"] == reason


@pytest.mark.parametrize("trigger", NOTICES)
def test_what_is_decided_on_is_what_is_stored(trigger):
    """The scope of a route at first, and of a later look at the event."""
    event = example("spaceinvoices", trigger)
    read = scope_of(event.body)
    assert read["event"]["trigger"] == trigger
    assert read["event"]["kind"] == trigger.rpartition(".")[2]
    assert read["event"]["resource"] == NOTICES[trigger].about
    assert read["data"]["id"] == read["event"]["record_id"] == event.record_id


@pytest.mark.parametrize("notice", [FAILING, deletions_held(CLIENTS, NOW_MS, 1, 2)])
def test_both_scopes_are_the_same(notice):
    """For a sink and for a stream."""
    event = sealed(notice)
    assert scope(notice.stream, notice.trigger, notice.change(), event.id, NOW_MS) == scope_of(event.body)


def test_each_trigger_has_a_name_of_its_own():
    """And none is that of a record's."""
    assert len({row.title for row in NOTICES.values()}) == len(NOTICES) == 7
    assert not NOTICES.keys() & TRIGGERS.keys()


# Their ids


def test_the_same_has_the_same_id_whenever_it_is_told():
    """After a crash or a restored backup."""
    again = sink_turned("crm", UP, replace(DOWN, error="another"), NOW_MS + 5)
    assert sealed(FAILING).id == sealed(again, NOW_MS + 9).id


def test_others_have_others():
    """Another sink, another time, another trigger, another organization."""
    many = [
        FAILING,
        sink_turned("erp", UP, DOWN, NOW_MS),
        sink_turned("crm", UP, Breaker(down_ms=NOW_MS + 1), NOW_MS),
        sink_turned("crm", DOWN, UP, NOW_MS),
        deletions_held(CLIENTS, NOW_MS, 1, 2),
        deletions_held(Stream("66f2", "clients"), NOW_MS, 1, 2),
        baseline_completed(CLIENTS, NOW_MS, 2),
    ]
    assert len({sealed(notice).id for notice in many}) == len(many)


# When a sink's breaker turns


def test_nothing_is_told_while_nothing_turns():
    """Up stays up, down stays down."""
    assert sink_turned("crm", UP, Breaker(failures=3), NOW_MS) is None
    assert sink_turned("crm", DOWN, Breaker(opened_ms=NOW_MS, down_ms=NOW_MS, probes=4), NOW_MS) is None


def test_a_sink_that_wants_no_more_says_so():
    """With its own reason."""
    notice = sink_turned("crm", UP, Breaker(down_ms=NOW_MS, paused="HTTP 410", error="HTTP 410"), NOW_MS)
    assert (notice.trigger, notice.data["paused"], notice.data["reason"]) == ("poller.sink.failing", True, "HTTP 410")


def test_a_recovery_says_how_long_it_took():
    """In whole seconds, never less than none."""
    assert sink_turned("crm", DOWN, UP, NOW_MS + 90_500).data["down_s"] == 90
    assert sink_turned("crm", DOWN, UP, NOW_MS - 1).data["down_s"] == 0


# When a stream fails


def since(was_ms=None, *, failures=1, denied=False, ago_s=0.0, every_s=60.0):
    polled_ms = None if ago_s is None else NOW_MS - int(ago_s * 1000)
    return failing_since(was_ms, failures=failures, denied=denied, polled_ms=polled_ms, every_s=every_s, now_ms=NOW_MS)


@pytest.mark.parametrize("ago_s", [None, 0.0])
def test_a_stream_is_failing_after_five_failures_in_a_row(ago_s):
    """Whether it was ever polled well or not."""
    assert [since(failures=count, ago_s=ago_s) for count in (1, FAILURES - 1)] == [None, None]
    assert since(failures=FAILURES, ago_s=ago_s) == NOW_MS


def test_or_after_two_where_it_is_long_overdue():
    """By its own interval and half an hour more."""
    assert since(failures=2, ago_s=OVERDUE_S + 61) == NOW_MS
    assert since(failures=2, ago_s=OVERDUE_S + 59) is None
    assert since(failures=1, ago_s=OVERDUE_S + 61) is None


def test_or_at_once_where_access_is_denied():
    """Nobody but a person can mend that."""
    assert since(denied=True) == NOW_MS
    assert since(failures=0, denied=True) == NOW_MS


def test_once_until_it_recovers():
    """Whatever kind of trouble follows."""
    assert since(5, failures=2) == since(5, denied=True) == 5
    assert since(5, failures=0) is None


def test_what_is_told_of_streams():
    """When they were last polled well, and what is usual."""
    data = stream_failing(CLIENTS, NOW_MS, failures=5, denied=False, polled_ms=None, reason="HTTP 500").data
    assert (data["polled"], data["failures"], data["reason"]) == (None, 5, "HTTP 500")
    data = stream_silent(CLIENTS, NOW_MS, NOW_MS - 90_000, 30.4).data
    assert (data["since"], data["silent_s"], data["expected_s"]) == (format_time(NOW_MS - 90_000), 90, 30)
