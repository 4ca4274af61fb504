"""A listing of a source, read to its end or to its error, and the requests that it took."""

from threading import Event
from time import monotonic

import pytest

from poller.sources import SourceError, Sweep

EVERYTHING = Sweep("", bodies=True)
IDS = Sweep("", bodies=False)


def listed(source, stream, query=EVERYTHING, parent=""):
    """All records of a listing that ended well."""
    return [record for page in source.list(stream, query, parent) for record in page.records]


def until_error(source, stream, query=EVERYTHING):
    """The pages that came before the error, and the error."""
    pages = []
    with pytest.raises(SourceError) as caught:
        pages.extend(source.list(stream, query))
    return pages, caught.value


def asked(world, org):
    """The requests for this organization: one that another test gave up may still come."""
    return [request for request in world.simulator.requests if org in request.path]


def settled(world, org, count):
    """Wait a little for so many requests, which were given up, so that they spoil no other test."""
    until = monotonic() + 2
    while len(asked(world, org)) < count and monotonic() < until:
        Event().wait(0.01)
