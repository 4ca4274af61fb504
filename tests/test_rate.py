"""The token bucket: how fast one key is used, by however many threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer
from time import monotonic

import pytest

from poller.rate import Bucket, NoTurn


@pytest.fixture
def stop():
    return Event()


def took_s(act, times=1):
    began = monotonic()
    for _ in range(times):
        act()
    return monotonic() - began


def test_a_burst_of_one_second_s_worth_passes_at_once(stop):
    """Then requests come at the rate."""
    bucket = Bucket(50, stop)
    assert took_s(bucket.take, 50) < 0.5
    assert 0.15 < took_s(bucket.take, 10) < 0.8


def test_threads_share_the_rate(stop):
    """Each waits for a turn of its own."""
    bucket = Bucket(50, stop)
    began = monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bucket.take(), range(62)))
    assert 0.2 < monotonic() - began < 1


def test_an_unused_bucket_holds_one_second_s_worth(stop):
    """However long it was not used."""
    bucket = Bucket(10, stop)
    bucket._pace = bucket._pace._replace(full_s=bucket._pace.full_s - 1000)
    assert took_s(bucket.take, 10) < 0.5
    assert took_s(bucket.take, 5) > 0.2


def test_a_rate_below_one_a_second_lets_single_requests_pass(stop):
    """The first at once, the next a whole turn later."""
    bucket = Bucket(0.5, stop)
    assert took_s(bucket.take) < 0.5
    Timer(0.05, stop.set).start()
    with pytest.raises(NoTurn):
        bucket.take()


def test_a_hold_is_for_everybody(stop):
    """The API asked the whole key to wait."""
    bucket = Bucket(1000, stop)
    bucket.hold(0.2)
    with ThreadPoolExecutor(4) as pool:
        spans = list(pool.map(lambda _: took_s(bucket.take), range(4)))
    assert all(0.15 < span < 1 for span in spans)


def test_a_shorter_hold_ends_no_longer_one(stop):
    """The latest end counts."""
    bucket = Bucket(1000, stop)
    bucket.hold(0.2)
    bucket.hold(0.01)
    assert took_s(bucket.take) > 0.15


def test_a_long_hold_keeps_no_thread(stop):
    """The poll ends and is run again later; the message says for how long."""
    bucket = Bucket(1000, stop)
    bucket.hold(3600)
    with pytest.raises(NoTurn, match="a pause of another 3600 s") as caught:
        took_s(bucket.take)
    assert 3590 < caught.value.after_s <= 3600


def test_turns_that_were_refused_cost_nothing(stop):
    """Else a long hold would be followed by a longer wait."""
    bucket = Bucket(1000, stop)
    bucket.hold(3600)
    for _ in range(5000):
        with pytest.raises(NoTurn):
            bucket.take()
    bucket._pace = bucket._pace._replace(open_s=0.0)
    assert took_s(bucket.take, 10) < 0.5


def test_a_stop_ends_the_wait_at_once(stop):
    """By an error, so that nothing more is asked."""
    bucket = Bucket(1000, stop)
    bucket.hold(30)
    Timer(0.05, stop.set).start()
    began = monotonic()
    with pytest.raises(NoTurn, match="stopping") as caught:
        bucket.take()
    assert caught.value.after_s is None
    assert monotonic() - began < 1


def test_refusals_lower_the_rate_for_everybody(stop):
    """And what passes then raises it again, little by little, to what is allowed at most."""
    bucket = Bucket(100, stop)
    bucket.heed(429, bucket.take())
    assert bucket.rate == 75
    for _ in range(10):
        bucket.heed(200, 0.0)
    assert 75 < bucket.rate < 76


def test_other_trouble_says_nothing_of_the_rate(stop):
    """An API that breaks is not one that is asked too often."""
    bucket = Bucket(100, stop)
    bucket.heed(503, bucket.take())
    assert bucket.rate == 100


def test_a_stop_ends_turns_that_need_not_wait_too(stop):
    """What is asked for afterwards finds closed connections."""
    bucket = Bucket(50, stop)
    stop.set()
    with pytest.raises(NoTurn, match="stopping"):
        bucket.take()
