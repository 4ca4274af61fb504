"""Secrets that are known to nobody else, and a look for them in whatever form they might have got out."""

import base64
import json
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import quote, quote_plus

WINDOW = 12
"""So many characters of a secret in a row are a leak of it."""


def word(name, length=40):
    """Letters and digits that occur nowhere by chance."""
    return base64.b32encode(sha256(name.encode()).digest() * 2).decode().lower()[:length]


def key(name):
    """Base64 of 32 bytes, as webhook secrets have it."""
    return base64.b64encode(sha256(name.encode()).digest()).decode()


ODD = "\"'\\%+&=<>@ "
"""What each way of writing a text down writes differently."""

TOKEN = word("token", 64)
SECRETS = {
    "token": TOKEN,
    "secret": f"whsec_{key('secret')}",
    "older secret": f"whsec_{key('older secret')}",
    "plain secret": word("plain secret", 20) + ODD + word("more of it", 20),
    "ed25519 secret": f"whsk_{key('ed25519 secret')}",
    "proxy password": word("proxy password", 20) + ODD + word("more of that", 20),
    "wrong password": word("wrong password"),
    "path": word("path"),
    "query": word("query"),
    "location path": word("location path"),
    "location query": word("location query"),
    "answer": word("answer"),
    "inline": f"whsec_{key('inline')}",
    "inline token": word("inline token", 64),
}
"""Known to the poller, or told to it by an answer; none of them may ever be told on."""

BODY = word("record")
LATER_BODY = word("record, later")
BODIES = {"record": BODY, "record, later": LATER_BODY}
"""In the fields of records: for sinks and for the database, and for nothing else."""


def forms(secret: str) -> Iterable[bytes]:
    """A secret as it is, and as URLs, JSON, Python, headers and dumps write it; each in a line of JSON, too."""
    for form in _written(secret):
        yield form
        yield json.dumps(form.decode("latin-1"))[1:-1].encode()


def _written(secret: str) -> Iterable[bytes]:
    text = secret.removeprefix("whsec_").removeprefix("whsk_")
    written = (text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text, safe=""), quote(text), quote_plus(text))
    yield from (form.encode() for form in written)
    plain = [text.encode()]
    if text != secret:
        plain.append(base64.b64decode(text))
        yield plain[1]
        yield repr(plain[1])[2:-1].encode()
    for data in plain:
        yield data.hex().encode()
        yield data.hex().upper().encode()
        for offset in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                first, last = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
                yield encode(bytes(offset) + data)[first:last]


def _windows(form: bytes) -> Iterable[bytes]:
    for start in {0, max(0, len(form) // 2 - WINDOW // 2), max(0, len(form) - WINDOW)}:
        yield form[start : start + WINDOW]


def _pieces(secrets: dict[str, str]) -> dict[bytes, str]:
    return {piece: name for name, secret in secrets.items() for form in forms(secret) for piece in _windows(form)}


_SECRET_PIECES, _BODY_PIECES = _pieces(SECRETS), _pieces(BODIES)


def leaked(data: bytes) -> set[str]:
    """The names of the secrets that are in there, whole or in part."""
    return {name for piece, name in _SECRET_PIECES.items() if piece in data}


def bodies_in(data: bytes) -> set[str]:
    """The names of the fields of records that are in there."""
    return {name for piece, name in _BODY_PIECES.items() if piece in data}
