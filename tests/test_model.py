"""The nouns: dates as the API may write them, and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.model import Kind, Stream, format_time, parse_time

NOW_MS = 1770818527093


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-11T14:02:07.093Z",
        "2026-02-11T14:02:07.093+00:00",
        "2026-02-11T14:02:07.093+00:00Z",
        "2026-02-11 14:02:07.093",
        "2026-02-11T15:02:07.093+01:00",
        "2026-02-11T14:02:07.093999Z",
    ],
)
def test_a_date_is_read_however_it_is_written(text):
    """All the forms of the documentation; without a zone it is UTC; below a millisecond is cut off."""
    assert parse_time(text) == NOW_MS


def test_a_date_alone_is_its_midnight():
    """As documents have it."""
    assert format_time(parse_time("2026-02-11")) == "2026-02-11T00:00:00.000Z"


@pytest.mark.parametrize("value", [None, "", "soon", "2026-13-01", 1770818527093, True, ["2026-02-11"], "\ud800"])
def test_what_is_no_date_is_none(value):
    """Whatever the API put there, nothing is raised."""
    assert parse_time(value) is None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.000-12:00", "0001-01-01T00:00:00.000+12:00"])
def test_a_date_that_cannot_be_written_back_is_none(text):
    """In UTC it lies outside the years 1 to 9999, so that no filter and no event could name it."""
    assert parse_time(text) is None


@given(st.datetimes(timezones=st.just(None) | st.timezones()))
def test_what_is_read_can_be_written(moment):
    """A time that is kept can always be put into a filter, and comes back as it was."""
    time_ms = parse_time(moment.isoformat())
    assert time_ms is None or parse_time(format_time(time_ms)) == time_ms


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_time_survives_being_written(time_ms):
    """To the millisecond, from the year 1 to 9999."""
    assert parse_time(format_time(time_ms)) == time_ms


def test_a_stream_is_named_by_organization_and_resource():
    """As the command line takes it."""
    assert Stream("66f1a2c4", "price_lists").name == "66f1a2c4/price_lists"


def test_a_kind_is_written_as_its_word():
    """Which is the second half of a trigger."""
    assert [f"{kind}" for kind in Kind] == ["created", "updated", "deleted"]
