"""The API as a server that thinks nothing: prepared pages, found by the id they follow; ``python api.py 1000``.

It prints its port. Below ``/first`` are so many records, below ``/second`` the same with other contents, below
``/none`` none at all. Below ``/tagged`` are the first ones again, where a page has a tag and is not shown to who sends
it. Where a request asks for certain fields, they are the stamps.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import cast
from zlib import crc32

from listing import EPOCH_MS, pages_of

_AFTER = re.compile(rb"%22gt%22%3A%22([0-9a-f]{24})%22")
_LAST_ID = re.compile(rb'"id":"([0-9a-f]{24})"')
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    f"Date: {formatdate(EPOCH_MS / 1000, usegmt=True)}\r\nContent-Length: "
).encode()


def _message(body: bytes) -> bytes:
    return _HEAD + b"%d\r\n\r\n%b" % (len(body), body)


_SAME = b"HTTP/1.1 304 Not Modified\r\n\r\n"
_CONDITION = re.compile(rb"if-none-match: ([^\r]+)", re.IGNORECASE)
_EMPTY = _message(b"[]")
_NONE = _message(b'{"count":0}')


def _tagged(answer: bytes, request: bytes) -> bytes:
    """The answer with a tag; only that nothing changed, if this is what the request has."""
    tag, condition = b'W/"%08x"' % crc32(answer), _CONDITION.search(request)
    return _SAME if condition and condition[1] == tag else answer.replace(b"\r\n", b"\r\nETag: %b\r\n" % tag, 1)


Listing = dict[bytes, bytes]
"""Whole answers by the id that the page follows; empty for the first."""


def _listing(records: int, version: int, *, bodies: bool = True) -> Listing:
    pages: Listing = {}
    after = b""
    for page in pages_of(records, version, bodies=bodies):
        pages[after] = _message(page)
        after = _LAST_ID.findall(page)[-1]
    return pages


class Api:
    """What is answered to a request."""

    def __init__(self, records: int) -> None:
        self._count = _message(b'{"count":%d}' % records)
        self._whole = {b"first": _listing(records, 0), b"second": _listing(records, 1), b"none": Listing()}
        self._stamps = self._whole | {b"first": _listing(records, 0, bodies=False)}

    def answer(self, request: bytes) -> bytes:
        """The page that follows the id in the request, or the first; the count where that is asked for."""
        target = request.split(b" ", 2)[1]
        path, _, query = target.partition(b"?")
        if path.endswith(b"/count"):
            return _NONE if path.startswith(b"/none/") else self._count
        listings = self._stamps if b"%22fields%22" in query else self._whole
        after, part = _AFTER.search(query), path.split(b"/", 2)[1]
        answer = listings[b"first" if part == b"tagged" else part].get(after[1] if after else b"", _EMPTY)
        return _tagged(answer, request) if part == b"tagged" else answer


class Connection(asyncio.Protocol):
    """One connection: requests without bodies, one after the other."""

    def __init__(self, api: Api) -> None:
        self._api, self._unread = api, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._api.answer(request))


@contextmanager
def api(records: int) -> Iterator[str]:
    """Run it in a process of its own; its address."""
    command = [sys.executable, str(Path(__file__)), str(records)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def main(records: int) -> None:
    """Serve on a free port of loopback until the process is ended."""
    served = Api(records)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(served), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
