"""A secret is found in whatever form it turns up."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.hidden import SHORTEST, pattern

secrets = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=SHORTEST, max_size=80)

WAYS = {
    "as it is": lambda text: text,
    "in Python": lambda text: repr(text)[1:-1],
    "of bytes": lambda text: repr(text.encode())[2:-1],
    "in JSON": json.dumps,
    "in a path": lambda text: f"/hooks/{quote(text)}/x",
    "in a query": lambda text: f"?key={quote_plus(text)}",
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "for a proxy": lambda text: base64.b64encode(f"poller:{text}".encode()).decode(),
    "for a proxy of a longer name": lambda text: base64.b64encode(f"poller1:{text}".encode()).decode(),
    "for one of a name longer still": lambda text: base64.urlsafe_b64encode(f"poller12:{text}".encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@given(secret=secrets)
def test_a_secret_is_found_however_it_is_written(way, secret):
    """And what is around it stays."""
    left = pattern(["another one", secret]).sub("[redacted]", f"before {way(secret)} after")
    assert secret not in left.replace("[redacted]", "")
    assert "[redacted]" in left


def test_what_is_around_it_stays():
    """The longest form is taken whole."""
    assert pattern(["s3cr3t", "s3cr3t/more"]).sub("-", "a s3cr3t/more b s3cr3t c") == "a - b - c"


@pytest.mark.parametrize("texts", [[], [""], ["short"]])
def test_without_a_text_of_some_length_nothing_is_found(texts):
    """A short one would be found in other words."""
    assert pattern(texts).sub("-", "a short text") == "a short text"
