"""Which deliveries go together, and what becomes of those that are refused together."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.batch import LARGEST_BYTES, compose, split
from poller.breaker import FAILURES
from poller.envelope import array
from poller.model import Delivered, Delivery, Gone, Later, Refused

NOW_MS = 1_790_000_000_000
NO, STRANGE, SLOW = Refused("400"), Refused("401: wrong?", strange=True), Later("no answer")


def one(number, *, attempts=0, troubles=0, size_bytes=2, due_s=0.0):
    """A delivery of a lane of its own, due for so many seconds."""
    due_ms = NOW_MS - int(due_s * 1000)
    return Delivery(
        "it", number, number, f"evt_{number}", "client.created", attempts, troubles, b"x" * size_bytes, due_ms
    )


def numbers(batches):
    return [[delivery.sequence for delivery in batch] for batch in batches]


# Together


def test_a_batch_is_as_many_as_go_into_one():
    """In order; the rest is one too, where nothing has to wait."""
    ready, waits = compose(map(one, range(7)), 3, 0, NOW_MS)
    assert (numbers(ready), waits) == ([[0, 1, 2], [3, 4, 5], [6]], None)


@pytest.mark.parametrize("due", [[], [one(1)]])
def test_one_at_a_time_is_a_batch_of_one(due):
    """And nothing is none."""
    assert compose(due, 1, 60, NOW_MS) == ([[delivery] for delivery in due], None)


def test_a_batch_that_is_not_full_waits():
    """Until the first of it is due for so long; a full one before it does not."""
    due = [one(1, due_s=0.9), one(2, due_s=0.8), one(3, due_s=0.4)]
    ready, waits_ms = compose(due, 2, 0.5, NOW_MS)
    assert (numbers(ready), waits_ms) == ([[1, 2]], NOW_MS + 100)
    assert numbers(compose(due, 2, 0.5, NOW_MS + 99).ready) == [[1, 2]]
    assert compose(due, 2, 0.5, NOW_MS + 100) == ([due[:2], due[2:]], None)


@pytest.mark.parametrize("met", [{"attempts": 1}, {"troubles": 1}])
def test_what_met_trouble_goes_alone_and_at_once(met):
    """What comes for the first time waits for others, as if it were not there."""
    ready, waits_ms = compose([one(1), one(2, **met), one(3)], 3, 5, NOW_MS)
    assert (numbers(ready), waits_ms) == ([[2]], NOW_MS + 5000)
    assert numbers(compose([one(1), one(2, **met), one(3), one(4)], 3, 5, NOW_MS).ready) == [[1, 3, 4], [2]]


def test_a_batch_has_a_largest_size():
    """As an array, with its commas and brackets; the one before is full, however few are in it."""
    half = LARGEST_BYTES // 2 - 2
    ready, waits = compose([one(1, size_bytes=half), one(2, size_bytes=half + 1), one(3)], 100, 60, NOW_MS)
    assert (numbers(ready), waits) == ([[1, 2]], NOW_MS + 60_000)
    assert len(array(ready[0]).body) == LARGEST_BYTES
    ready, _ = compose([one(1, size_bytes=half), one(2, size_bytes=half + 2), one(3)], 100, 60, NOW_MS)
    assert numbers(ready) == [[1]]


def test_what_is_larger_than_a_batch_goes_alone():
    """At once: there is no room for company."""
    ready, waits = compose([one(1), one(2, size_bytes=LARGEST_BYTES), one(3)], 100, 60, NOW_MS)
    assert (numbers(ready), waits) == ([[1], [2]], NOW_MS + 60_000)
    assert numbers(compose([one(2, size_bytes=LARGEST_BYTES)], 100, 60, NOW_MS).ready) == [[2]]


deliveries = st.lists(
    st.builds(
        lambda attempts, troubles, size_bytes, due_s: (attempts, troubles, size_bytes, due_s),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([2, 2, 2, LARGEST_BYTES // 3, LARGEST_BYTES // 2, LARGEST_BYTES + 1]),
        st.floats(0, 3),
    ),
    max_size=40,
)


@given(deliveries, st.integers(1, 9), st.floats(0, 2))
def test_each_is_in_one_batch_or_waits(rows, size, wait_s):
    """No batch is too large, nobody waits too long, a batch goes in the order of its deliveries."""
    rows.sort(key=lambda row: -row[3])
    due = [
        one(number, attempts=attempts, troubles=troubles, size_bytes=size_bytes, due_s=due_s)
        for number, (attempts, troubles, size_bytes, due_s) in enumerate(rows)
    ]
    ready, waits_until_ms = compose(due, size, wait_s, NOW_MS)
    sent = {delivery.sequence for batch in ready for delivery in batch}
    assert len(sent) == sum(map(len, ready))
    waiting = [delivery for delivery in due if delivery.sequence not in sent]
    assert bool(waiting) == (waits_until_ms is not None)
    assert len(waiting) < size
    for delivery in waiting:
        assert not delivery.attempts
        assert not delivery.troubles
        assert NOW_MS < waits_until_ms <= delivery.due_ms + int(wait_s * 1000)
    for batch in ready:
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or sum(len(delivery.body) + 1 for delivery in batch) < LARGEST_BYTES
        assert len(batch) == 1 or not any(delivery.attempts or delivery.troubles for delivery in batch)
        assert [delivery.sequence for delivery in batch] == sorted(delivery.sequence for delivery in batch)


# Refused


class Receiver:
    """Says what its script says to a batch with one of those deliveries in it, and yes to all others."""

    def __init__(self, script):
        self.script, self.asked, self.taken = script, [], []

    def __call__(self, batch):
        names = [delivery.sequence for delivery in batch]
        self.asked.append(names)
        for name in names:
            if name in self.script:
                return self.script[name]
        self.taken += names
        return Delivered()


def never():
    return False


def sent(count, script, late=never):
    receiver = Receiver(script)
    outcomes = split([one(number) for number in range(count)], receiver, late)
    assert len(outcomes) == count
    return receiver, outcomes


def test_what_is_taken_is_one_request():
    """And nothing is none."""
    receiver, outcomes = sent(100, {})
    assert (len(receiver.asked), outcomes) == (1, [Delivered()] * 100)
    assert sent(0, {})[1] == []


@pytest.mark.parametrize("refusal", [NO, STRANGE])
@pytest.mark.parametrize("bad", range(100))
def test_one_bad_among_a_hundred_is_found(bad, refusal):
    """By two requests for each halving at most; all the others are taken, once, in order."""
    receiver, outcomes = sent(100, {bad: refusal})
    assert [number for number, outcome in enumerate(outcomes) if outcome != Delivered()] == [bad]
    assert outcomes[bad] == refusal
    assert receiver.asked[0] == list(range(100))
    assert len(receiver.asked) - 1 <= 2 * ceil(log2(100))
    assert receiver.taken == [number for number in range(100) if number != bad]


def test_nothing_is_refused_in_company():
    """Whoever is refused was asked about alone, so that it pays for itself only."""
    receiver, outcomes = sent(9, {2: NO, 3: NO, 7: NO})
    refused = [number for number, outcome in enumerate(outcomes) if outcome == NO]
    assert refused == [2, 3, 7]
    assert [[number] in receiver.asked for number in refused] == [True] * 3


@pytest.mark.parametrize("trouble", [SLOW, Later("busy", 60), Gone("410")])
def test_trouble_of_the_receiver_ends_it(trouble):
    """What it did not answer for is for later, also that which was refused with others; nothing more is asked."""
    receiver, outcomes = sent(8, {0: NO, 2: trouble})
    assert outcomes == [NO, Delivered(), *[trouble] * 6]
    assert receiver.asked[-1] == [2, 3]
    assert sent(8, {0: trouble})[0].asked == [list(range(8))]


def test_a_receiver_that_refuses_everything_is_not_asked_about_each():
    """A wrong url or secret, say: a few are refused, and the others did not pay."""
    receiver, outcomes = sent(100, dict.fromkeys(range(100), STRANGE))
    assert outcomes[:FAILURES] == [STRANGE] * FAILURES
    assert set(outcomes[FAILURES:]) == {Later("5 others in a row were refused: 401: wrong?")}
    assert len(receiver.asked) <= 2 * FAILURES + ceil(log2(100))


def test_many_bad_ones_among_good_ones_are_all_found():
    """As long as they are not all in a row."""
    bad = dict.fromkeys((number for number in range(100) if number % FAILURES), NO)
    _, outcomes = sent(100, bad)
    assert [number for number, outcome in enumerate(outcomes) if outcome == NO] == list(bad)


def test_when_it_is_late_the_rest_is_for_later():
    """Nobody has paid but who was refused alone by then."""
    answers = iter([False, False, True])
    receiver, outcomes = sent(8, {0: NO, 7: NO}, lambda: next(answers))
    assert receiver.asked == [list(range(8)), [0, 1, 2, 3], [0, 1]]
    assert {type(outcome) for outcome in outcomes} == {Later}


scripts = st.dictionaries(st.integers(0, 39), st.sampled_from([NO, STRANGE, SLOW, Gone("410")]), max_size=12)


@given(st.integers(0, 40), scripts, st.integers(1, 100))
def test_every_outcome_is_what_the_receiver_said(count, script, requests):
    """Of the delivery itself where it was taken or refused; and nothing is taken twice."""
    receiver = Receiver(script)
    outcomes = split([one(number) for number in range(count)], receiver, lambda: len(receiver.asked) >= requests)
    assert len(outcomes) == count
    assert len(receiver.asked) <= min(requests, max(1, 2 * count - 1))
    assert receiver.taken == [number for number, outcome in enumerate(outcomes) if outcome == Delivered()]
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Refused):
            assert (script[number], [number] in receiver.asked) == (outcome, True)
