"""The memory that the worst pages take: every poll thread holds one as large as a page may be, at the same time."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from figures import Figure, Table

from poller.service import POLL_THREADS

NAMES = ("clients", "documents", "items", "payments", "recurrences", "taxes", "units", "categories")[:POLL_THREADS]
CONFIG = """
[source]
token = {{ file = "{folder}/token" }}
base_url = "http://127.0.0.1:{port}/v1"
organizations = ["66f1a2c4d3b7e80012a4c901"]
rate = 100
every = "1s"
[resources]
prices = false
orders = false
[state]
path = "{folder}/poller.db"
"""
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""As in the unit and the image."""
RECORDS = 100
PATIENCE_S = 120.0
REST_S = 3.0


class Pages(ThreadingHTTPServer):
    """Gives each listing one page of ``size_mb``, then a second version of it; each time to all at once."""

    daemon_threads = True

    def __init__(self, size_mb: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._each_bytes = (size_mb << 20) // RECORDS
        self.together = threading.Barrier(POLL_THREADS)
        self.news: dict[str, bytes] = {}
        self.first = {name: self._page("2026-01-01T00:00:00.000Z") for name in NAMES}

    def change(self) -> None:
        """From now on every record is another one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        self.news = {name: self._page(stamp) for name in NAMES}

    def handle_error(self, *_: object) -> None:
        """A connection that ends with the poller is no error."""

    def _page(self, stamp: str) -> bytes:
        lines = (self._each_bytes - 200) // 84
        rows = (
            {"id": f"{n:024x}", "updatedAt": stamp, "lines": [os.urandom(40).hex() for _ in range(lines)]}
            for n in range(RECORDS)
        )
        return json.dumps(list(rows)).encode()

    def answer(self, path: str) -> bytes:
        """The body for a request."""
        parts = urlsplit(path)
        name, asked = parts.path.rpartition("/")[2], parse_qs(parts.query).get("filter", ["{}"])[0]
        if name == "count":
            return b'{"count": %d}' % RECORDS
        if '"gt"' in asked or name not in self.first:
            return b"[]"
        page = self.first[name] if '"updatedAt":{' not in asked else self.news.pop(name, b"[]")
        if len(page) > 2:
            self.together.wait(PATIENCE_S)
        return page


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pages

    def do_GET(self) -> None:
        """Answer."""
        body = self.server.answer(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def report(size_mb: int) -> Table:
    """MB resident: the peak, and what is left of it after a rest."""
    figures = []
    for words, environment in (("as the unit runs it", MALLOC), ("without its two settings of malloc", {})):
        peak_mb, rest_mb = _worst(size_mb, environment)
        figures.append(Figure(words, {"peak": [peak_mb], "afterwards": [rest_mb]}))
    return Table(f"{POLL_THREADS} polls at once, each with a page of {size_mb} MiB of changed records: MB", figures)


def _worst(size_mb: int, environment: dict[str, str]) -> tuple[float, float]:
    with _serving(size_mb) as pages, TemporaryDirectory(prefix="poller-bench-") as name:
        folder = Path(name)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text("t" * 64)
        (folder / "config.toml").write_text(CONFIG.format(folder=folder, port=pages.server_address[1]))
        said = folder / "said"
        command = [sys.executable, "-m", "poller", "--config", str(folder / "config.toml"), "run"]
        with (
            said.open("wb") as err,
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=err) as run,
        ):
            try:
                _until(lambda: said.read_text().count('"stream.baselined"') == len(NAMES))
                pages.change()
                _until(lambda: said.read_text().count('"stream.changed"') == len(NAMES))
                time.sleep(REST_S)
                return _status_mb(run.pid, "VmHWM"), _status_mb(run.pid, "VmRSS")
            finally:
                run.terminate()


@contextmanager
def _serving(size_mb: int) -> Iterator[Pages]:
    with Pages(size_mb) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield pages
        pages.shutdown()


def _until(done: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > ends_s:
            raise AssertionError("the daemon does not get on")
        time.sleep(0.1)


def _status_mb(process: int, field: str) -> float:
    """A line of /proc/PID/status, which is in kB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
