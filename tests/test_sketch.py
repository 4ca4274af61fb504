"""The outline of a configuration: what differs in it differs there, and no secret is in it."""

import msgspec
import pytest

from poller.config import load
from poller.sketch import sketch

WHOLE = """
[source]
token = {{ env = "TOKEN" }}
[sinks.crm]
kind = "webhook"
url = "https://crm.example.com/{path}"
"""


@pytest.fixture
def outline(tmp_path):
    """The outline of a configuration whose receiver is at this path."""

    def outline(path):
        file = tmp_path / "config.toml"
        file.write_text(WHOLE.format(path=path))
        return sketch(load(file))

    return outline


def test_another_path_of_a_receiver_is_a_change(outline):
    """It is shown nowhere, and may be all that tells a receiver from the next."""
    assert outline("a-key-of-a-tenant").receivers != outline("that-of-another").receivers
    assert outline("a-key-of-a-tenant") == outline("a-key-of-a-tenant")


def test_the_path_itself_is_not_told(outline):
    """An outline goes over the socket, and into what a plan prints."""
    assert b"a-key-of-a-tenant" not in msgspec.json.encode(outline("a-key-of-a-tenant"))
