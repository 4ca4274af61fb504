"""The budget at work."""

import pytest

from poller.budget import History
from poller.model import Resource, Stream
from poller.plan import Watch
from poller.shares import PAGE, SHORTEST_S, Shares

NOW_MS = 1_790_000_000_000
WATCH = Watch(Resource("clients", "client", "Client", "clients"), 60.0, 21600.0, 300.0, longest_s=600.0)
STREAMS = [Stream(org, resource) for org in ("a", "b") for resource in ("clients", "documents")]
CLIENTS, DOCUMENTS, *OTHERS = STREAMS


@pytest.fixture
def shares():
    """Four streams, each polled a moment ago."""
    made = Shares(0.1)
    for stream in STREAMS:
        made.follow(stream, History(), WATCH)
        made.polled(stream, 0, 1, NOW_MS)
    made.reprice(NOW_MS, 20.0)
    return made


def waits(moves):
    return {move.stream: round((move.time_ms - NOW_MS) / 1000) for move in moves}


def test_all_are_planned_for_what_there_is(shares):
    """Four streams at a request every ten seconds, a little of which is left for what nobody plans."""
    moves, again_s = shares.reprice(NOW_MS, 20.0)
    assert all(40 <= wait_s <= 44 for wait_s in waits(moves).values())
    assert again_s >= 30


def test_the_intervals_that_are_planned_are_known(shares):
    """By resource, the shortest and the longest; those of streams in trouble are not planned."""
    shares.polled(CLIENTS, 3, 2, NOW_MS)
    moves, _ = shares.reprice(NOW_MS, 20.0)
    assert {*shares.spans} == {"clients", "documents"}
    of_clients = [(move.time_ms - NOW_MS) / 1000 for move in moves if move.stream.resource == "clients"]
    assert shares.spans["clients"] == pytest.approx((min(of_clients), max(of_clients)))
    assert min(of_clients) < max(of_clients)
    for stream in STREAMS:
        shares.failed(stream)
    shares.reprice(NOW_MS, 20.0)
    assert shares.spans == {}


def test_what_the_api_refuses_is_not_planned(shares):
    """Where it takes fewer requests than the budget has, its rate counts."""
    moves, _ = shares.reprice(NOW_MS, 0.05)
    assert all(80 <= wait_s <= 88 for wait_s in waits(moves).values())


def test_a_budget_too_small_for_the_longest_intervals_says_what_it_takes(shares):
    """Four streams in ten minutes are a request every 150 seconds, and a little for what nobody plans."""
    assert shares.missing == 0
    shares.reprice(NOW_MS, 0.001)
    assert shares.missing == pytest.approx(4 / 600 / 0.95)
    shares.reprice(NOW_MS, 20.0)
    assert shares.missing == 0


def test_news_bring_the_siblings_closer(shares):
    """Once; a poll without news moves nobody."""
    shares.polled(CLIENTS, 3, 2, NOW_MS)
    assert waits(shares.siblings(CLIENTS, NOW_MS))[DOCUMENTS] < 40
    assert shares.siblings(CLIENTS, NOW_MS) == []
    shares.polled(DOCUMENTS, 0, 1, NOW_MS)
    assert shares.siblings(DOCUMENTS, NOW_MS) == []


def test_a_stream_in_trouble_is_not_moved(shares):
    """Its back-off stands, until a poll goes well."""
    shares.failed(DOCUMENTS)
    moves, _ = shares.reprice(NOW_MS, 20.0)
    assert DOCUMENTS not in waits(moves)
    shares.polled(DOCUMENTS, 0, 1, NOW_MS)
    moves, _ = shares.reprice(NOW_MS, 20.0)
    assert DOCUMENTS in waits(moves)


def test_a_stream_that_is_being_polled_is_not_moved(shares):
    """That poll plans the next one."""
    with shares.polling(DOCUMENTS):
        moves, _ = shares.reprice(NOW_MS, 20.0)
        assert set(waits(moves)) == {CLIENTS, *OTHERS}
    moves, _ = shares.reprice(NOW_MS, 20.0)
    assert set(waits(moves)) == set(STREAMS)


def test_a_poll_that_has_not_seen_the_end_is_followed_soon(shares):
    """More than a page of news: there may be more by now."""
    _, wait_s = shares.polled(CLIENTS, PAGE, 2, NOW_MS)
    assert wait_s == SHORTEST_S
    _, wait_s = shares.polled(OTHERS[0], 0, 1, NOW_MS)
    assert wait_s > SHORTEST_S


def test_a_stream_that_is_followed_again_goes_on(shares):
    """Its history is what was remembered; following twice is following once."""
    history, _ = shares.polled(CLIENTS, 3, 1, NOW_MS)
    shares.follow(CLIENTS, History(), WATCH)
    again, _ = shares.polled(CLIENTS, 0, 1, NOW_MS)
    assert again.usual == history.usual
    shares.leave(CLIENTS)
    shares.leave(CLIENTS)
    shares.follow(CLIENTS, history, WATCH)
    again, _ = shares.polled(CLIENTS, 0, 1, NOW_MS)
    assert again.usual == history.usual


def test_a_clock_that_was_set_back_puts_nothing_off(shares):
    """No wait is longer than the longest."""
    moves, _ = shares.reprice(NOW_MS - 3_600_000, 20.0)
    assert all(move.time_ms <= NOW_MS - 3_600_000 + 600_000 for move in moves)
