"""What the worst answers cost, in time and memory, measured in a process of its own."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from receiver import Receiver, answer, dribble, dribble_head, endless, flood

from poller.sinks.webhook import ANSWER_BYTES, Config
from poller.sources.spaceinvoices import DEADLINE_S, PAGE_BYTES

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

MOST_BYTES = 64 << 20
SLACK_S = 0.5

PROGRAM = """
import json, sys, time
from poller.http import Client, HttpError
from poller.model import Delivery
from poller.sinks.webhook import Config

side, url, deadline_s, page_bytes = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
sink = Config.model_validate({"kind": "webhook", "url": url, "timeout": f"{deadline_s}s"}).sink()
client = Client()

def peak_kb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def ask():
    if side == "sink":
        return type(sink.send([Delivery("hook", 1, 1, "evt_a", "client.created", 0, 0, b"{}")])[0]).__name__
    try:
        options = {"headers": {"Accept-Encoding": "gzip"}, "deadline_s": deadline_s, "max_bytes": page_bytes}
        return str(client.request("GET", url, **options).status)
    except HttpError as error:
        return type(error).__name__

ask()
before_kb, began = peak_kb(), time.monotonic()
said = ask()
print(json.dumps([said, time.monotonic() - began, (peak_kb() - before_kb) * 1024]))
"""


def bomb():
    """194 kB that unpack to 200 MB, as long as somebody does."""
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return answer(headers=[("Content-Encoding", "gzip")], body=packed)


WORST = {"dribble": dribble, "dribble_head": dribble_head, "endless": endless, "bomb": bomb, "flood": flood}


def cost(side, behaviour, deadline_s):
    """What it said, how long it took, and by how much the memory grew."""
    with Receiver(answer(), behaviour) as receiver:
        command = [sys.executable, "-c", PROGRAM, side, receiver.url, str(deadline_s), str(PAGE_BYTES)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dribble", "Delivered"),
        ("dribble_head", "Later"),
        ("endless", "Delivered"),
        ("bomb", "Delivered"),
        ("flood", "Later"),
    ],
)
def test_fault_46_55_the_worst_answers_of_a_receiver(name, said):
    """At most the timeout, and little more than what is read of an answer; after a status that decides."""
    got, took_s, grown_bytes = cost("sink", WORST[name](), 0.5)
    assert got == said
    assert took_s < 0.5 + SLACK_S
    assert grown_bytes < 64 * ANSWER_BYTES


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dribble", "TimedOut"),
        ("dribble_head", "TimedOut"),
        ("endless", "TooLarge"),
        ("bomb", "TooLarge"),
        ("flood", "TimedOut"),
    ],
)
def test_fault_33_40_the_worst_answers_of_an_api(name, said):
    """At most the deadline, and a page's worth of memory."""
    deadline_s = 0.5 if said == "TimedOut" else 15.0
    got, took_s, grown_bytes = cost("api", WORST[name](), deadline_s)
    assert got == said
    assert took_s < deadline_s + SLACK_S
    assert grown_bytes < MOST_BYTES


def test_after_the_status_two_seconds_are_enough():
    """A body that dribbles costs that, however long the timeout is."""
    got, took_s, _ = cost("sink", dribble(), 15.0)
    assert got == "Delivered"
    assert 1.9 < took_s < 2.0 + SLACK_S


def test_the_limits_are_those_that_are_promised():
    """Measured above with shorter ones; a receiver has 15 s unless its sink says otherwise."""
    assert Config(kind="webhook", url="https://hooks.example").timeout == 15
    assert ANSWER_BYTES == 64 << 10
    assert PAGE_BYTES <= 32 << 20
    assert DEADLINE_S <= 30
