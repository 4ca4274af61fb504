"""A receiver to try things with: verifies each request, and prints its events."""

import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
import msgspec

from poller import envelope

TOLERANCE_S = 300
"""How old a signature may be: what Standard Webhooks recommends."""

_LARGEST = 32 << 20
_BATCH = envelope.BATCH_CONTENT_TYPE.partition(";")[0]


def server(port: int, secret: str | None, show: Callable[[str], None]) -> ThreadingHTTPServer:
    """A server on loopback that answers 204 to what is signed by ``secret``, 401 to what is not."""
    key = envelope.signing_key(secret) if secret else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = self.headers.get("content-length", "")
            if not (size.isdecimal() and len(size) <= 8 and int(size) <= _LARGEST):
                self._answer(413, ("Connection", "close"))  # nobody knows where the next request would begin
                return
            body = self.rfile.read(int(size))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, lines = taken(headers, body, key, time.time())
            for line in lines:
                show(line)
            self._answer(status)

        def _answer(self, status: int, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", "0"), *headers):
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print events only."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def taken(headers: dict[str, str], body: bytes, key: bytes | None, now_s: float) -> tuple[int, list[str]]:
    """The answer to a request, and what there is to print: its events, or why it is refused."""
    if refused := trouble(headers, body, key, now_s):
        return 401, [f"REFUSED: {refused}"]
    if not headers.get("content-type", "").lower().startswith(_BATCH):
        return 204, [body.decode(errors="replace")]
    try:
        events = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return 400, ["REFUSED: it is not an array of events"]
    return 204, [bytes(event).decode(errors="replace") for event in events]


def trouble(headers: dict[str, str], body: bytes, key: bytes | None, now_s: float) -> str:
    """Why a request is not to be trusted; empty if it is, or if there is no key to tell by."""
    if key is None:
        return ""
    try:
        sent_s = int(headers["webhook-timestamp"])
        signatures = headers["webhook-signature"].split()
        expected = envelope.sign(key, headers["webhook-id"], sent_s, body)
    except (KeyError, ValueError):
        return "it is not signed"
    if abs(now_s - sent_s) > TOLERANCE_S:
        return "its signature is too old"
    if not any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in signatures):
        return "its signature is not of this secret"
    return ""


def listen(port: int, secret: str | None) -> None:
    """Receive until interrupted."""
    try:
        receiver = server(port, secret, click.echo)
    except ValueError as error:
        raise click.UsageError('the secret is not usable: what follows "whsec_" should be base64') from error
    except OSError as error:
        raise click.ClickException(f"port {port}: {error.strerror}; choose another one with --port") from error
    with receiver, suppress(KeyboardInterrupt):
        verified = "verified" if secret else "not verified: no --secret"
        click.echo(f"Listening on http://127.0.0.1:{receiver.server_port}/ (signatures are {verified})", err=True)
        receiver.serve_forever()
