"""Who is polled when, under a budget."""

import pytest

from poller.allotment import Allotment
from poller.budget import Bounds, History
from poller.model import Stream

BOUNDS = Bounds(5.0, 600.0)
NOW_S = 1_790_000_000.0
STREAMS = [Stream(org, resource) for org in ("a", "b") for resource in ("clients", "documents")]
CLIENTS, DOCUMENTS, *OTHERS = STREAMS


def allotted(requests_s=0.05):
    """Four streams, polled once each just now, at one request in twenty seconds."""
    made = Allotment()
    for stream in STREAMS:
        made.follow(stream, History(), BOUNDS)
        made.polled(stream, 0, 1, NOW_S)
    made.reprice(NOW_S, requests_s)
    return made


def waits(made, now_s=NOW_S):
    return {stream: made.due_s(stream, now_s) - NOW_S for stream in STREAMS}


def test_without_a_history_all_wait_alike():
    """Four streams, a request every twenty seconds: eighty seconds each."""
    assert all(79 <= wait_s <= 81 for wait_s in waits(allotted()).values())


def test_news_bring_the_whole_organization_closer():
    """At once, not at the next look at the price; the other organization stays where it is."""
    made = allotted()
    assert set(made.polled(CLIENTS, 3, 1, NOW_S)) == {CLIENTS, DOCUMENTS}
    found = waits(made)
    assert found[CLIENTS] <= found[DOCUMENTS] < 79
    assert all(79 <= found[other] <= 81 for other in OTHERS)


def test_no_news_moves_nobody_else():
    """Only the stream itself has a new turn."""
    assert allotted().polled(CLIENTS, 0, 1, NOW_S) == [CLIENTS]


def test_the_price_makes_room_for_what_is_going_on():
    """What one organization gets more, the other gets less."""
    made = allotted()
    for at_s in range(0, 300, 30):
        made.polled(CLIENTS, 3, 1, NOW_S + at_s)
    made.polled(CLIENTS, 0, 1, NOW_S)
    made.reprice(NOW_S, 0.05)
    busy = waits(made)
    assert busy[CLIENTS] < 80 < busy[OTHERS[0]]


def test_a_budget_that_is_lowered_makes_all_wait_longer():
    """As when the API refuses some: the price is found for what passes."""
    made = allotted()
    made.reprice(NOW_S, 0.025)
    assert all(158 <= wait_s <= 162 for wait_s in waits(made).values())


def test_who_leaves_leaves_room():
    """An organization that is gone takes no part; leaving twice is leaving once."""
    made = allotted()
    for stream in (*OTHERS, *OTHERS):
        made.leave(stream)
    assert set(made.reprice(NOW_S, 0.05)) == {CLIENTS, DOCUMENTS}
    assert 39 <= made.due_s(CLIENTS, NOW_S) - NOW_S <= 41


def test_a_history_that_was_kept_is_gone_on_with():
    """After a start what was usual is usual still."""
    made = allotted()
    for _ in range(50):
        made.polled(CLIENTS, 3, 1, NOW_S)
    again = Allotment()
    for stream in STREAMS:
        again.follow(stream, made.history(stream), BOUNDS)
    again.reprice(NOW_S, 0.05)
    made.reprice(NOW_S, 0.05)
    assert waits(again) == pytest.approx(waits(made), rel=0.1)
