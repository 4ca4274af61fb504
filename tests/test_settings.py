"""The words of the configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from poller.settings import Duration, FilePath, HttpsUrl, Interval

durations = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("6h", 21600),
        ("14d", 1209600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    """Every unit, and sums of them."""
    assert durations.validate_python(text) == seconds


@given(st.integers(0, 3650 * 24), st.integers(0, 59))
def test_any_duration_within_ten_years_is_what_it_says(hours, minutes):
    """Hours and minutes add up."""
    if hours < 3650 * 24:
        assert durations.validate_python(f"{hours}h{minutes}m") == hours * 3600 + minutes * 60


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("5 minutes", "is not a duration"),
        ("", "is not a duration"),
        ("-5m", "is not a duration"),
        ("1e3s", "is not a duration"),
        ("٣s", "is not a duration"),
        ("99999d", "longer than ten years"),
        ("9" * 400 + "s", "longer than ten years"),
        (30, 'should say its unit: "30s"'),
        (True, "should be a duration"),
        ([], "should be a duration"),
    ],
)
def test_a_bad_duration_is_told_in_words(value, words):
    """No unit, no sense, no end, no string."""
    with pytest.raises(ValidationError, match=words):
        durations.validate_python(value)


def test_an_interval_is_more_than_nothing():
    """Zero is a duration but no interval."""
    assert durations.validate_python("0s") == 0
    with pytest.raises(ValidationError):
        TypeAdapter(Interval).validate_python("0s")


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_names_a_file(path):
    """The empty path would be the working directory."""
    with pytest.raises(ValidationError, match="path of a file"):
        TypeAdapter(FilePath).validate_python(path)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "http://127.0.0.1:8080",
        "http://[::1]/v1",
        "http://localhost/v1",
        "http://127.9.9.9",
    ],
)
def test_a_url_is_https_or_loopback(url):
    """Its last slash does not count."""
    assert TypeAdapter(HttpsUrl).validate_python(url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://localhost.example.com",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://user:pass@api.example.com",
        "https://api.example.com?key=1",
        "https://api.example.com/#x",
        "https://api.example.com:port",
        "https://[::1",
        "",
    ],
)
def test_any_other_url_is_refused_and_not_shown(url):
    """It may hold a password."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(HttpsUrl).validate_python(url)
    assert "pass" not in str(caught.value.errors()[0]["msg"]).replace("password", "")
