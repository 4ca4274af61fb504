"""The secrets of a sink, and what they sign: Standard Webhooks, several at once while they are being rotated.

``whsec_`` secrets sign by HMAC-SHA256 (``v1``), ``whsk_`` secrets by ed25519 (``v1a``), whose receivers hold a
``whpk_`` public key that cannot sign. Any other text is itself the key of an HMAC.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from poller.envelope import sign, signing_key

MOST = 3
"""How many secrets may sign at once: what a rotation needs, and one to spare."""

EARLIEST_S = 1_735_689_600
"""The beginning of 2025. A clock before it is not set, and receivers would refuse what it stamps."""

_SIZE_BYTES = 32


class CannotSign(Exception):
    """Nothing can be signed now; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One secret, ready to sign: ``sign`` takes the message's id, the time in seconds and the body."""

    sign: Callable[[str, int, bytes], str] = field(repr=False)  # it would show the key
    not_after_s: float | None = None

    def expired(self, now_s: float) -> bool:
        """Whether it may sign no more."""
        return self.not_after_s is not None and now_s > self.not_after_s


class Pair(NamedTuple):
    """An ed25519 ``secret`` (``whsk_...``), and the ``public`` key (``whpk_...``) that verifies it."""

    secret: str
    public: str


def signature(keys: Sequence[Key], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature of each key that has not expired, blanks in between.

    Raises ``CannotSign`` where all have expired, and where the clock cannot be right.
    """
    if timestamp_s < EARLIEST_S:
        raise CannotSign("nothing is signed: the clock of this machine is before 2025; set it")
    valid = [key for key in keys if not key.expired(timestamp_s)]
    if not valid:
        raise CannotSign("nothing is signed: all secrets have expired (not_after); add a new one")
    return " ".join(key.sign(message_id, timestamp_s, body) for key in valid)


def key(secret: str, not_after_s: float | None = None) -> Key:
    """Make ready the key of a secret; raises ``ValueError`` that says what is wrong with it, and not what it is."""
    if secret.startswith("whsk_"):
        return Key(partial(_sign_ed25519, _ed25519(secret)), not_after_s)
    if secret.startswith("whpk_"):
        raise ValueError('it is a public key; the secret one, which begins with "whsk_", is wanted')
    try:
        hmac_key = signing_key(secret)
    except ValueError:
        raise ValueError('what follows "whsec_" should be base64') from None
    if not hmac_key:
        raise ValueError('nothing follows "whsec_"')
    return Key(partial(sign, hmac_key), not_after_s)


def new_secret() -> str:
    """Make a secret for HMAC: ``whsec_`` and 32 random bytes in base64."""
    return "whsec_" + _base64(secrets.token_bytes(_SIZE_BYTES))


def new_pair() -> Pair:
    """Make a pair for ed25519; raises ``ValueError`` where the package for it is missing."""
    return pair("whsk_" + _base64(secrets.token_bytes(_SIZE_BYTES)))


def pair(secret: str) -> Pair:
    """Give the public key to a ``whsk_`` secret; raises ``ValueError`` as ``key`` does."""
    return Pair(secret, "whpk_" + _base64(_ed25519(secret).public_key().public_bytes_raw()))


def _sign_ed25519(private: Any, message_id: str, timestamp_s: int, body: bytes) -> str:  # noqa: ANN401 - imported late
    return "v1a," + _base64(private.sign(b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)))


def _ed25519(secret: str) -> Any:  # noqa: ANN401 - imported late
    """Give the private key in a secret: its seed of 32 bytes, perhaps followed by its public key."""
    try:
        ed25519 = import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError:
        raise ValueError('a "whsk_" secret needs another package: pip install "poller[ed25519]"') from None
    try:
        raw = base64.b64decode(secret.removeprefix("whsk_"), validate=True)
    except ValueError:
        raise ValueError('what follows "whsk_" should be base64') from None
    if len(raw) not in (_SIZE_BYTES, 2 * _SIZE_BYTES):
        raise ValueError('what follows "whsk_" should be base64 of 32 or 64 bytes')
    private = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:_SIZE_BYTES])
    if raw[_SIZE_BYTES:] not in (b"", private.public_key().public_bytes_raw()):
        raise ValueError('the two halves of what follows "whsk_" do not belong together')
    return private


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
