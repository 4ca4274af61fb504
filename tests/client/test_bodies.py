"""Bodies that the HTTP client reads, unpacks, cuts off or refuses."""

import gzip
import time
import tracemalloc

import pytest
from asks import ask
from receiver import Receiver, answer, bomb, cut, dribble, endless, gzipped, hang_after_head

from poller import session
from poller.http import Disconnected, HttpError, Malformed, TooLarge


def test_a_body_at_the_cap_is_read(client):
    """``max_bytes`` is allowed."""
    with Receiver(answer(body=b"x" * 1000)) as receiver:
        assert len(ask(client, receiver, max_bytes=1000).body) == 1000


@pytest.mark.parametrize("large", [answer(body=b"x" * 1001), endless(), gzipped(b"x" * 1001)])
def test_a_body_over_the_cap_is_an_error(client, large):
    """Plain, endless or compressed: it is not read on."""
    with Receiver(large) as receiver:
        with pytest.raises(TooLarge, match="larger than 1000 bytes"):
            ask(client, receiver, max_bytes=1000)
        assert ask(client, receiver).status == 200
    assert [record.connection for record in receiver.records] == [1, 2]


def test_a_gzip_bomb_is_not_unpacked(client):
    """64 MiB in 64 KiB: the client's memory grows by a few steps of decoding only."""
    with Receiver(bomb(64 << 20)) as receiver:
        tracemalloc.start()
        try:
            with pytest.raises(TooLarge):
                ask(client, receiver, max_bytes=1 << 20)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize(
    ("trouble", "error"), [(endless(), TooLarge), (cut(body=bytes(9 << 20), of=10 << 20), HttpError)]
)
def test_an_error_that_is_kept_keeps_nothing_of_the_body(client, trouble, error):
    """Loops keep errors until they are told, and a traceback keeps what its functions held."""
    with Receiver(trouble) as receiver:
        tracemalloc.start()
        try:
            with pytest.raises(error) as kept:
                ask(client, receiver, max_bytes=16 << 20)
            held_bytes, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes > 8 << 20
    assert held_bytes < 2 << 20
    assert kept.value.__traceback__ is not None


def test_gzip_is_decoded(client):
    """Also where it unpacks in several steps."""
    body = bytes(range(256)) * 20_000
    with Receiver(gzipped(body), gzipped(b"")) as receiver:
        assert ask(client, receiver, max_bytes=len(body)).body == body
        assert ask(client, receiver).body == b""


def test_gzip_in_members_is_decoded(client):
    """RFC 1952 allows one after the other."""
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    with Receiver(answer(headers=[("Content-Encoding", "gzip")], body=body)) as receiver:
        assert ask(client, receiver).body == b"one two"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip", b"not gzip"), ("gzip", bytes.fromhex("1f8b0800000000000003"))],
)
def test_what_cannot_be_decoded_is_an_error(client, encoding, body):
    """An unknown encoding, damaged gzip, gzip cut short: half a body is no body."""
    encoded = answer(headers=[("Content-Encoding", encoding)], body=body)
    with Receiver(encoded) as receiver, pytest.raises(Malformed):
        ask(client, receiver)


def test_a_cut_body_is_an_error(client):
    """Fewer bytes than promised are not an answer."""
    with Receiver(cut()) as receiver, pytest.raises(Disconnected, match="in the middle of the answer"):
        ask(client, receiver)


@pytest.mark.parametrize(
    "behaviour", [cut(503), hang_after_head(503), dribble(status=503), bomb(1 << 20)], ids=range(4)
)
def test_with_truncate_the_status_decides(client, behaviour, monkeypatch):
    """Whatever is wrong with the body, and however slowly it comes."""
    monkeypatch.setattr(session, "TAIL_S", 0.1)
    with Receiver(behaviour) as receiver:
        began = time.monotonic()
        assert ask(client, receiver, truncate=True).status in (200, 503)
    assert time.monotonic() - began < 0.5


def test_with_truncate_a_large_body_is_left_unread(client):
    """An endless answer costs ``max_bytes``, and its connection."""
    with Receiver(endless()) as receiver:
        assert len(ask(client, receiver, truncate=True, max_bytes=65536).body) == 65536
        ask(client, receiver)
    assert [record.connection for record in receiver.records] == [1, 2]


def test_with_truncate_a_small_body_keeps_the_connection(client):
    """It was read to its end."""
    with Receiver() as receiver:
        assert ask(client, receiver, truncate=True).body == b"ok"
        ask(client, receiver)
    assert [record.connection for record in receiver.records] == [1, 1]
