"""Events in a file."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.model import Delivered, Delivery, Later
from poller.settings import SettingError
from poller.sinks import file
from poller.sinks.file import Config


def event(name):
    return Delivery("log", 1, 1, name, "client.created", 0, 0, b'{"id":"%b"}' % name.encode())


A, B, C = event("a"), event("b"), event("c")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
def sink(path):
    sink = Config.model_validate({"kind": "file", "path": str(path)}).sink()
    yield sink
    sink.close()


def test_lines_are_appended(sink, path):
    """To what is there already."""
    path.write_bytes(b"old\n")
    sink.send([A])
    assert sink.send([B, C]) == [Delivered()] * 2
    assert path.read_bytes() == b'old\n{"id":"a"}\n{"id":"b"}\n{"id":"c"}\n'


def test_the_file_is_private(sink, path):
    """Invoices are personal data."""
    sink.send([A])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_batch_is_one_write_and_one_sync(sink, monkeypatch):
    """So that a hundred events cost as much as one."""
    calls = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda *args: calls.append("write") or write(*args))
    monkeypatch.setattr(os, "fsync", lambda *args: calls.append("fsync") or fsync(*args))
    sink.send([A, B, C])
    assert calls == ["write", "fsync"]


def test_a_rotated_file_is_let_go(sink, path):
    """Renamed by logrotate: the next batch starts a new one."""
    sink.send([A])
    path.rename(path.with_suffix(".1"))
    sink.send([B])
    assert path.with_suffix(".1").read_bytes() == b'{"id":"a"}\n'
    assert path.read_bytes() == b'{"id":"b"}\n'


def test_another_file_at_the_path_is_taken(sink, path):
    """Rotation may create the new one by itself."""
    sink.send([A])
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"")
    sink.send([B])
    assert path.read_bytes() == b'{"id":"b"}\n'


def test_a_truncated_file_is_continued(sink, path):
    """Emptied in place (logrotate's copytruncate), it has no hole."""
    sink.send([A])
    os.truncate(path, 0)
    sink.send([B])
    assert path.read_bytes() == b'{"id":"b"}\n'


def test_half_a_line_is_ended_first(sink, path):
    """What a crash left does not spoil the next event."""
    path.write_bytes(b'{"id":"a"}\n{"id":')
    sink.send([B])
    assert path.read_bytes() == b'{"id":"a"}\n{"id":\n{"id":"b"}\n'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(taken=st.integers(0, 40), torn=st.booleans())
def test_only_what_is_wholly_on_disk_is_delivered(sink, path, taken, torn):
    """A disk that becomes full takes a part; the rest comes again, on a line of its own.

    A line that lacked its newline only is there twice then: at least once is what is promised.
    """
    path.write_bytes(b"x" if torn else b"")
    write = os.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda to, data: write(to, data[:taken]))
        answers = sink.send([A, B, C])
    delivered = [answer == Delivered() for answer in answers]
    lines = path.read_bytes().split(b"\n")[:-1]
    assert delivered == [one.body in lines for one in (A, B, C)]
    assert delivered == sorted(delivered, reverse=True)
    assert all(isinstance(answer, Delivered | Later) for answer in answers)
    late = [one for one, done in zip((A, B, C), delivered, strict=True) if not done]
    assert sink.send(late) == [Delivered()] * len(late)
    lines = path.read_bytes().split(b"\n")
    assert all(1 <= lines.count(one.body) <= 2 for one in (A, B, C))


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_trouble_with_the_disk_is_for_later(sink, path, monkeypatch, call):
    """All of the batch; and the next one tries afresh."""

    def full(*args):
        raise OSError(28, "No space left on device")

    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(file.os, call, full)
        answers = sink.send([A, B])
    assert answers == [Later(f"{path} cannot be written: No space left on device")] * 2
    assert sink.send([A]) == [Delivered()]


def test_a_missing_folder_is_named(tmp_path):
    """At the start, with the command that makes it."""
    config = Config.model_validate({"kind": "file", "path": str(tmp_path / "no" / "events")})
    with pytest.raises(SettingError, match=f"the folder {tmp_path}/no does not exist; run: mkdir -p"):
        config.sink()


@pytest.mark.parametrize(("make", "cause"), [(os.mkdir, "Is a directory"), (os.mkfifo, "not a regular file")])
def test_what_is_no_file_is_named(path, make, cause):
    """At the start, too."""
    make(path)
    with pytest.raises(SettingError, match=f"{path} cannot be written: .*{cause}"):
        Config.model_validate({"kind": "file", "path": str(path)}).sink()
