"""What the worst answers cost, in time and memory, measured in processes of their own."""

import json
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from process import STDOUT, TOKEN, Site, only, webhook
from receiver import Receiver, answer, dribble, dribble_head, endless, flood

from poller.simulator import Account, Simulator, faults
from poller.sinks.webhook import ANSWER_BYTES, Config
from poller.sources.spaceinvoices import DEADLINE_S, PAGE_BYTES

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

MOST_S = 15.5
MOST_BYTES = 64 << 20
SHORT_S = 0.5
SLACK_S = MOST_S - DEADLINE_S

PROGRAM = """
import json, sys, time
sys.path.insert(0, sys.argv[4])
from pauses import pauses
from poller.http import Client, HttpError
from poller.model import Delivery
from poller.sinks.webhook import Config
from poller.sources import spaceinvoices

side, url, deadline_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
table = {"kind": "webhook", "url": url} | ({"timeout": f"{deadline_s}s"} if deadline_s else {})
sink = Config.model_validate(table).sink()
client = Client()
options = {
    "headers": {"Accept-Encoding": "gzip"},
    "deadline_s": deadline_s or spaceinvoices.DEADLINE_S,
    "max_bytes": spaceinvoices.PAGE_BYTES,
}

def peak_kb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def ask():
    if side == "sink":
        return type(sink.send([Delivery("hook", 1, 1, "evt_a", "client.created", 0, 0, b"{}")])[0]).__name__
    try:
        return str(client.request("GET", url, **options).status)
    except HttpError as error:
        return type(error).__name__

ask()
with pauses() as machine:
    before_kb, began = peak_kb(), time.monotonic()
    said = ask()
    took_s = time.monotonic() - began
print(json.dumps([said, took_s, machine.total_s, (peak_kb() - before_kb) * 1024]))
"""


def bomb():
    """194 kB that unpack to 200 MB, as long as somebody does."""
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return answer(headers=[("Content-Encoding", "gzip")], body=packed)


class Cost(NamedTuple):
    """What was said to an answer, how long it took, how much of that the machine was elsewhere, and the memory."""

    said: str
    took_s: float
    paused_s: float
    grown_bytes: int

    @property
    def own_s(self):
        return self.took_s - self.paused_s


def cost(side, behaviour, deadline_s=0):
    """The cost to a side, the second time that it asks; the deadline is its own unless another is given."""
    with Receiver(answer(), behaviour) as receiver:
        command = [sys.executable, "-c", PROGRAM, side, receiver.url, str(deadline_s), str(Path(__file__).parent)]
        return Cost(*json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


WORST = {"dribble": dribble, "dribble_head": dribble_head, "endless": endless, "bomb": bomb}
SAID = {
    ("sink", "dribble"): ("Delivered", 2.0),  # the status decides, and its body is given two seconds
    ("sink", "dribble_head"): ("Later", 15.0),
    ("sink", "endless"): ("Delivered", 0.0),
    ("sink", "bomb"): ("Delivered", 0.0),
    ("api", "dribble"): ("TimedOut", 15.0),
    ("api", "dribble_head"): ("TimedOut", 15.0),
    ("api", "endless"): ("TooLarge", 0.0),
    ("api", "bomb"): ("TooLarge", 0.0),
}
"""What each side makes of each answer, and for how many seconds it waits at least."""


@pytest.fixture(scope="module")
def costs():
    """All of them at once, with the deadlines that hold where nobody sets others."""
    with ThreadPoolExecutor(len(SAID)) as pool:
        asked = {case: pool.submit(cost, case[0], WORST[case[1]]()) for case in SAID}
        return {case: future.result() for case, future in asked.items()}


@pytest.mark.parametrize("name", WORST)
def test_fault_46_55_the_worst_answers_of_a_receiver(costs, name):
    """15.5 s at most, and little more memory than what is read of an answer; after a status that decides."""
    look(costs, "sink", name, 64 * ANSWER_BYTES)


@pytest.mark.parametrize("name", WORST)
def test_fault_33_40_the_worst_answers_of_an_api(costs, name):
    """15.5 s at most, and a page's worth of memory, 64 MiB at most."""
    look(costs, "api", name, MOST_BYTES)


def look(costs, side, name, most_bytes):
    """By the deadlines as they are."""
    found, (said, least_s) = costs[side, name], SAID[side, name]
    print(f"{side}, {name}: {found.said} after {found.took_s:.2f} s, {found.grown_bytes / (1 << 20):.1f} MiB")  # noqa: T201
    assert found.said == said
    assert least_s - 0.1 < found.took_s
    assert found.own_s < (least_s or DEADLINE_S) + SLACK_S <= MOST_S
    assert found.grown_bytes < most_bytes


@pytest.mark.parametrize(("side", "said"), [("sink", "Later"), ("api", "TimedOut")])
def test_a_flood_ends_with_its_deadline_too(side, said):
    """Interim answers without end keep the socket ready all the time; a short deadline, since it is hard work."""
    found = cost(side, flood(), SHORT_S)
    assert found.said == said
    assert found.own_s < SHORT_S + SLACK_S
    assert found.grown_bytes < 64 * ANSWER_BYTES


def test_the_limits_are_those_that_are_promised():
    """A receiver has 15 s unless its sink says otherwise, and so has the API."""
    assert Config(kind="webhook", url="https://hooks.example").timeout == DEADLINE_S == 15
    assert ANSWER_BYTES == 64 << 10
    assert PAGE_BYTES <= 32 << 20


# The whole process

_SHORT = f"""
from poller.sources import spaceinvoices
spaceinvoices.DEADLINE_S = {SHORT_S}
spaceinvoices.BACKOFF_S = 0.01
from poller import breaker, retry
retry.SINK_WAITS_S = (0.1, 0.1)
breaker.SHORTEST_WAIT_S = 0.05
"""


def peak_bytes(poller):
    lines = Path(f"/proc/{poller.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def test_the_daemon_outlives_all_of_them_at_once(tmp_path):
    """From the API and from a receiver in turn: its memory grows by less than 64 MiB, and in the end all is told."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    [org] = account.organizations
    spoiled = [faults.dribble(), faults.gzip_bomb(200 << 20), faults.oversized(64 << 20)]
    script = [make() for make in (dribble_head, bomb, endless, dribble, flood)]
    with Simulator(account) as api, Receiver(*script) as receiver:
        sinks = webhook("hook", receiver.url, timeout=f"{SHORT_S}s") + STDOUT
        site = Site(tmp_path, api.url, only("clients") + sinks, patch=_SHORT)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(poller.events)
            before = peak_bytes(poller)
            for fault in spoiled:
                api.faults.next(fault, path="clients", times=4)
                known = len(poller.log("stream.failed"))
                poller.until(lambda: len(poller.log("stream.failed")) > known, 60)  # noqa: B023
                account.create(org, "clients")
            wanted = len(spoiled) + 1
            done = "SELECT count(*) FROM delivery WHERE state = 'delivered' AND sink = 'hook'"
            poller.until(lambda: site.query(done) == [(wanted,)], 60)
            grown = peak_bytes(poller) - before
            reasons = [line["reason"] for line in poller.log("stream.failed")]
            poller.stop()
    print(f"the whole process grew by {grown / (1 << 20):.1f} MiB; {reasons}")  # noqa: T201 - a figure to read
    assert len(poller.events()) == wanted
    assert grown < MOST_BYTES
