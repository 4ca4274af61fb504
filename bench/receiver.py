"""A receiver of webhooks that says yes to everything, as fast as it can: ``python receiver.py`` prints its port.

A GET of ``/events`` is answered by how many events came in all that was signed, one of ``/times`` by when each request
came, in nanoseconds of the system's monotonic clock, a line each.
"""

import asyncio
import re
import sys
from time import monotonic_ns
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_YES = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_events = [0]
_times_ns: list[int] = []


class Receiver(asyncio.Protocol):
    """One connection. An unsigned request is refused: it would not be what is to be measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport, self._unread = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n") + 4) > 3:
            head = self._unread[:end]
            found = _LENGTH.search(head)
            size = end + (int(found[1]) if found else 0)
            if len(self._unread) < size:
                return
            body, self._unread = self._unread[end:size], self._unread[size:]
            self._transport.write(_ASKED.get(head[: head.find(b" HTTP/")], _taken)(head, body))


def _taken(head: bytes, body: bytes) -> bytes:
    if b"webhook-signature: v1," not in head:
        return _YES.replace(b"200", b"401")
    _events[0] += body.count(b'{"specversion":')
    _times_ns.append(monotonic_ns())
    return _YES


def _count(_head: bytes, _body: bytes) -> bytes:
    return _said(b"%d" % _events[0])


def _times(_head: bytes, _body: bytes) -> bytes:
    return _said(b"\n".join(b"%d" % time_ns for time_ns in _times_ns))


def _said(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


_ASKED = {b"GET /events": _count, b"GET /times": _times}


async def main() -> None:
    """Serve on a free port of loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
