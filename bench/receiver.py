"""A receiver of webhooks that says yes to everything, as fast as it can: ``python receiver.py`` prints its port.

A GET is answered by when each POST came, in nanoseconds of the system's monotonic clock, a line each.
"""

import asyncio
import re
import sys
from time import monotonic_ns
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_YES = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_came_ns: list[int] = []


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
            self._unread = self._unread[size:]
            self._transport.write(_times() if head.startswith(b"GET ") else _taken(head))


def _taken(head: bytes) -> bytes:
    _came_ns.append(monotonic_ns())
    return _YES if b"webhook-signature: v1," in head else _YES.replace(b"200", b"401")


def _times() -> bytes:
    text = "\n".join(map(str, _came_ns)).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


async def main() -> None:
    """Serve on a free port of loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
