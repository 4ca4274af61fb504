"""Events on standard output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from poller.model import Delivered, Delivery, Later
from poller.sinks.stdout import Config

ONE = Delivery("out", 1, 1, "evt_a", "client.created", 0, 0, b'{"id":"evt_a"}')


def run(code, **options):
    """Run a Python of its own, whose standard output can be closed."""
    text = "from tests_one import ONE\nfrom poller.sinks.stdout import Config\nsink = Config().sink()\n" + code
    text = text.replace("from tests_one import ONE", f"from poller.model import Delivery\nONE = {ONE!r}")
    return subprocess.run([sys.executable, "-c", text], stderr=subprocess.PIPE, check=False, timeout=20, **options)


def test_each_event_is_a_line(capsysbinary):
    """The stored bytes, and a newline."""
    assert Config().sink().send([ONE, ONE]) == [Delivered(), Delivered()]
    assert capsysbinary.readouterr().out == b'{"id":"evt_a"}\n{"id":"evt_a"}\n'


def test_a_batch_is_flushed():
    """A reader behind a pipe sees it at once, not when a buffer is full."""
    done = run("import os; sink.send([ONE]); os._exit(0)", stdout=subprocess.PIPE)
    assert done.stdout == b'{"id":"evt_a"}\n'


def test_fault_59_a_reader_that_is_gone_is_for_later():
    """Nothing is delivered, nothing is raised, and Python's exit is quiet."""
    code = (
        "import os, sys\nread, write = os.pipe(); os.dup2(write, 1); os.close(write); os.close(read)\n"
        "answers = sink.send([ONE, ONE]) + sink.send([ONE])\n"
        "sink.close()\nprint(answers, file=sys.stderr)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"Later(reason='standard output cannot be written: [Errno 32] Broken pipe'") == 3
    assert b"Exception" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_for_later():
    """As for any other OSError."""
    with Path("/dev/full").open("wb") as full:
        done = run("import sys; print(sink.send([ONE]), file=sys.stderr); sink.close()", stdout=full)
    assert done.returncode == 0, done.stderr
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_part_is_not_all(tmp_path, unbuffered):
    """What the disk did not take is for later, and then on a line of its own; Python may be silent about it."""
    code = (
        "import resource, sys\nlimit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))\n"
        "big = ONE._replace(body=ONE.body * 1000)\n"
        "limit(20_000); part = sink.send([big, big]); limit(-1)\nprint(part, sink.send([big]), file=sys.stderr)"
    )
    with (tmp_path / "out").open("wb") as out:
        done = run(code, stdout=out, env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert done.stderr.count(b"Later(") == 2, done.stderr
    assert done.stderr.rstrip().endswith(b"[Delivered()]")
    assert (tmp_path / "out").read_bytes()[20_000:].endswith(b"\n" + ONE.body * 1000 + b"\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_takes_no_more_is_for_later(unbuffered):
    """Of a pipe that whoever made it told not to block."""
    code = (
        "import os, sys\nread, write = os.pipe(); os.set_blocking(write, False); os.dup2(write, 1)\n"
        "answers = sink.send([ONE._replace(body=bytes(1 << 20))])\nprint(answers, file=sys.stderr); sink.close()"
    )
    done = run(code, env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert done.stderr.startswith(b"[Later("), done.stderr


def test_no_standard_output_at_all_is_for_later(monkeypatch):
    """Python has none when it was closed at the start."""
    monkeypatch.setattr(sys, "stdout", None)
    sink = Config().sink()
    [answer] = sink.send([ONE])
    assert isinstance(answer, Later)
    sink.close()


def test_there_is_nothing_to_set():
    """An unknown key is an error, as everywhere."""
    with pytest.raises(ValidationError):
        Config.model_validate({"kind": "stdout", "path": "x"})
