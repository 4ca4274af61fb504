"""When polls pause, and when they go on: each limit by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.pressure import Limits, Load, pressure

MIB = 1 << 20
LIMITS = Limits(pending=100, size_bytes=1000 * MIB, free_bytes=100 * MIB)
CALM = Load({"crm": 0}, 0, 10_000 * MIB, 10_000 * MIB)


@pytest.mark.parametrize(
    ("load", "what", "reason"),
    [
        (
            CALM._replace(pending={"a": 3, "crm": 100}),
            "sink crm",
            "100 deliveries are pending for sink crm (limit 100)",
        ),
        (CALM._replace(size_bytes=1000 * MIB), "state", "the state takes 1000 MiB (limit 1000 MiB)"),
        (CALM._replace(free_bytes=99 * MIB, disk_bytes=0), "disk", "the disk has only 99 MiB free (limit 100 MiB)"),
    ],
)
def test_each_limit_pauses(load, what, reason):
    """With its reason, for a person."""
    assert pressure(load, LIMITS) == {what: reason}


def test_below_its_limits_nothing_pauses():
    """Just below, even; and without sinks."""
    load = Load({"a": 99, "b": 99}, 1000 * MIB - 1, 501 * MIB, 10_000 * MIB)
    assert pressure(load, LIMITS) == {}
    assert pressure(CALM._replace(pending={}), LIMITS) == {}


@pytest.mark.parametrize(
    ("disk_bytes", "least_bytes"), [(0, 100 * MIB), (3000 * MIB, 150 * MIB), (1_000_000 * MIB, 400 * MIB)]
)
def test_a_large_disk_keeps_more_free(disk_bytes, least_bytes):
    """A twentieth of it, but four times the limit at most."""
    load = CALM._replace(disk_bytes=disk_bytes)
    assert pressure(load._replace(free_bytes=least_bytes + 1), LIMITS) == {}
    assert pressure(load._replace(free_bytes=least_bytes), LIMITS).keys() == {"disk"}


@pytest.mark.parametrize(
    ("what", "still", "over"),
    [
        ("sink crm", CALM._replace(pending={"crm": 80}), CALM._replace(pending={"crm": 79})),
        ("state", CALM._replace(size_bytes=800 * MIB), CALM._replace(size_bytes=799 * MIB)),
        (
            "disk",
            CALM._replace(free_bytes=125 * MIB, disk_bytes=0),
            CALM._replace(free_bytes=126 * MIB, disk_bytes=0),
        ),
    ],
)
def test_polls_go_on_at_80_percent(what, still, over):
    """Not sooner, so that they do not stop and go."""
    assert pressure(still, LIMITS, {what}).keys() == {what}
    assert pressure(over, LIMITS, {what}) == {}


def test_what_did_not_pause_them_does_not_keep_them():
    """A state that is always 90 % full is no reason to wait, once the sink is empty again."""
    load = CALM._replace(size_bytes=900 * MIB, pending={"crm": 10, "other": 90})
    assert pressure(load, LIMITS, {"sink crm"}) == {}


def test_limits_may_be_nothing():
    """No free disk is asked for, and none is there."""
    assert pressure(Load({}, 0, 0, 10_000 * MIB), Limits(1, MIB, 0)) == {}


@given(st.integers(0, 200), st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 10**6))
def test_who_may_start_may_go_on(pending, size, free, disk):
    """What pauses without a pause pauses with one, too."""
    load = Load({"crm": pending}, size * MIB, free * MIB, disk * MIB)
    everything = {"sink crm", "state", "disk"}
    assert pressure(load, LIMITS).keys() <= pressure(load, LIMITS, everything).keys()
