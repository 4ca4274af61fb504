"""Due, send, settle: events from the queue to a sink, until the store knows that they are delivered."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from functools import partial
from os import devnull
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from core import kit
from figures import Table, Target, Timing, least, rates, timed
from listing import STREAM, Scripted, pages_of

from poller.deliver import Drain, drain
from poller.poll import poll
from poller.sinks import kinds

SinkTable = dict[str, object]


def report(events: int, runs: int) -> Table:
    """Events a second: a webhook, one event or many in a request, standard output, a file."""
    answers = list(pages_of(events))
    with receiver() as url, TemporaryDirectory(prefix="poller-bench-") as folder:
        secret = Path(folder) / "secret"
        secret.touch(mode=0o600)
        secret.write_text("a secret of the benchmark, 36 bytes.")
        webhook = {"kind": "webhook", "url": url, "secret": {"file": str(secret)}}
        tables: list[tuple[str, SinkTable, tuple[Target, ...]]] = [
            ("webhook, signed", webhook, (least(500),)),
            ("webhook, signed, in batches", webhook | {"batch": {}}, ()),
            ("standard output", {"kind": "stdout"}, ()),
            ("file", {"kind": "file", "path": f"{folder}/events.jsonl"}, ()),
        ]
        figures = [
            rates(name, events, runs, partial(_deliver, answers, table, events), *targets)
            for name, table, targets in tables
        ]
        if httpx.get(url.replace("/hook", "/events"), trust_env=False).text != str(2 * runs * events):
            raise AssertionError("the receiver did not get all events, signed and once")
    return Table(f"Delivery: events, settled in the store ({events:,} events)", figures)


@contextmanager
def receiver() -> Iterator[str]:
    """Run the receiver in a process of its own; its address."""
    command = [sys.executable, str(Path(__file__).with_name("receiver.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}/hook"
        finally:
            process.terminate()


def _deliver(answers: list[bytes], table: SinkTable, events: int) -> Timing:
    with kit(Scripted(lambda: answers), emit=True) as tools:
        if poll(tools, STREAM) != events:
            raise AssertionError("there are not as many events as were to be delivered")
        sink = kinds()[str(table["kind"])].model_validate(table).sink()
        with ThreadPoolExecutor(sink.concurrency) as executor:
            queue = Drain("webhook", sink, tools.store, executor, lambda: time.time_ns() // 1_000_000, random.random)
            with Path(devnull).open("w") as nowhere, redirect_stdout(nowhere), timed() as timing:
                drain(queue, threading.Event(), until_empty=True)
        sink.close()
        if tools.store.load().pending:
            raise AssertionError("some events were not delivered")
    return timing
