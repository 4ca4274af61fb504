"""A request of a receiver by the HTTP client, and how long one takes that fails."""

import time

import pytest

from poller.http import HttpError


def ask(client, receiver, **options):
    return client.request("GET", receiver.url, **{"deadline_s": 5, "max_bytes": 1000} | options)


def seconds(act, *args, **options):
    """How long a call takes that ends in an error, and the error."""
    began = time.monotonic()
    with pytest.raises(HttpError) as caught:
        act(*args, **options)
    return time.monotonic() - began, caught.value
