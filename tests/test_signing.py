"""Secrets and signatures, verified by others' code."""

import base64
import subprocess
import sys
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from poller.signing import EARLIEST_S, CannotSign, Key, key, new_pair, new_secret, pair, signature

SEED = bytes(range(32))

bodies = st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))


def base64_of(data):
    return base64.b64encode(data).decode()


def verify(secret, header, body, at_s):
    """By the reference implementation; raises where it is not good."""
    headers = {"webhook-id": "evt_a", "webhook-timestamp": str(at_s), "webhook-signature": header}
    Webhook(secret).verify(body, headers, json_parse=False)


def verify_ed25519(public, header, body, at_s):
    """By the documented message; raises where no signature is good."""
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    [given] = [text.removeprefix("v1a,") for text in header.split(" ") if text.startswith("v1a,")]
    verifier.verify(base64.b64decode(given), f"evt_a.{at_s}.".encode() + body)


@given(st.binary(min_size=1, max_size=64), bodies)
def test_an_hmac_is_that_of_standard_webhooks(raw, body):
    """Whatever the key and the body."""
    now_s = int(time.time())
    secret = "whsec_" + base64_of(raw)
    verify(secret, signature([key(secret)], "evt_a", now_s, body), body, now_s)


@given(st.binary(min_size=32, max_size=32), bodies)
def test_an_ed25519_signature_is_of_the_documented_message(seed, body):
    """Id, time and body, with dots in between; and of no other."""
    now_s = int(time.time())
    secret, public = pair("whsk_" + base64_of(seed))
    header = signature([key(secret)], "evt_a", now_s, body)
    verify_ed25519(public, header, body, now_s)
    for other in (body + b" ", b"x" + body):
        with pytest.raises(InvalidSignature):
            verify_ed25519(public, header, other, now_s)
    with pytest.raises(InvalidSignature):
        verify_ed25519(public, header, body, now_s + 1)


def test_a_known_ed25519_signature():
    """Of RFC 8032 (7.1, test 1): its key, and the bytes that it signs here."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert pair("whsk_" + base64_of(seed)).public == "whpk_" + base64_of(public)
    assert pair("whsk_" + base64_of(seed + public)).public == "whpk_" + base64_of(public)


def test_an_ed25519_secret_may_be_seed_and_public_key():
    """64 bytes, as libsodium keeps them; they sign alike."""
    now_s = int(time.time())
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    short, long = (key("whsk_" + base64_of(raw)) for raw in (SEED, SEED + public))
    assert short.sign("evt_a", now_s, b"{}") == long.sign("evt_a", now_s, b"{}")


def test_all_secrets_sign():
    """In their order; a receiver that holds any one of them is content."""
    now_s = int(time.time())
    secrets = [new_secret(), new_secret(), new_pair()]
    header = signature([key(secrets[0]), key(secrets[1]), key(secrets[2].secret)], "evt_a", now_s, b"{}")
    assert [text.split(",")[0] for text in header.split(" ")] == ["v1", "v1", "v1a"]
    verify(secrets[0], header, b"{}", now_s)
    verify(secrets[1], header, b"{}", now_s)
    verify_ed25519(secrets[2].public, header, b"{}", now_s)
    with pytest.raises(WebhookVerificationError):
        verify(new_secret(), header, b"{}", now_s)


def test_the_reference_verifies_no_ed25519():
    """So that a receiver's author needs other code, as the documentation says."""
    now_s = int(time.time())
    secret, _ = new_pair()
    header = signature([key(secret)], "evt_a", now_s, b"{}")
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        verify("whsec_" + secret.removeprefix("whsk_"), header, b"{}", now_s)


def test_an_expired_secret_signs_no_more():
    """The moment itself is the last one."""
    now_s = int(time.time())
    old, new = new_secret(), new_secret()
    keys = [key(new), key(old, now_s)]
    verify(old, signature(keys, "evt_a", now_s, b"{}"), b"{}", now_s)
    header = signature(keys, "evt_a", now_s + 1, b"{}")
    assert " " not in header
    verify(new, header, b"{}", now_s + 1)


def test_nothing_goes_unsigned():
    """When all secrets have expired, the reason says what to do."""
    now_s = int(time.time())
    with pytest.raises(CannotSign, match=r"all secrets have expired \(not_after\); add a new one"):
        signature([key(new_secret(), now_s - 1)], "evt_a", now_s, b"{}")


@pytest.mark.parametrize("now_s", [0, EARLIEST_S - 1])
def test_a_clock_that_is_not_set_signs_nothing(now_s):
    """Every receiver would refuse it as too old."""
    with pytest.raises(CannotSign, match="the clock of this machine is before 2025"):
        signature([key("a")], "evt_a", now_s, b"{}")
    assert signature([key("a")], "evt_a", EARLIEST_S, b"{}")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("whsec_", 'nothing follows "whsec_"'),
        ("whsec_abc", 'what follows "whsec_" should be base64'),
        ("whsec_?", 'what follows "whsec_" should be base64'),
        ("whsk_", "base64 of 32 or 64 bytes"),
        ("whsk_abc", 'what follows "whsk_" should be base64'),
        ("whsk_" + base64_of(SEED[:31]), "base64 of 32 or 64 bytes"),
        ("whsk_" + base64_of(SEED * 2), "do not belong together"),
        ("whpk_" + base64_of(SEED), 'a public key; the secret one, which begins with "whsk_"'),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_but_not_shown(secret, words):
    """Nor is it in what the error is chained to."""
    with pytest.raises(ValueError, match=words) as caught:
        key(secret)
    assert secret.partition("_")[2][:8] not in str(caught.value) or secret.endswith("_")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_plain_text_is_itself_the_key():
    """For receivers that were given one."""
    now_s = int(time.time())
    verify(b"plain text", signature([key("plain text")], "evt_a", now_s, b"{}"), b"{}", now_s)


def test_new_secrets_are_long_and_differ():
    """32 bytes each; the pair belongs together."""
    assert len({new_secret() for _ in range(100)}) == 100
    assert new_secret().startswith("whsec_")
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32
    made = new_pair()
    assert pair(made.secret) == made
    assert (made.secret[:5], made.public[:5]) == ("whsk_", "whpk_")
    assert new_pair() != made


def test_without_the_package_only_ed25519_is_missing(monkeypatch):
    """The message is what to install; it is not even looked for otherwise."""
    now_s = int(time.time())
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert key(new_secret()).sign("evt_a", now_s, b"{}")
    for ask in (lambda: key("whsk_" + base64_of(SEED)), new_pair):
        with pytest.raises(ValueError, match=r'pip install "poller\[ed25519\]"'):
            ask()


def test_the_package_is_imported_only_when_it_is_needed():
    """In a process of its own: this one has it."""
    code = "import sys, poller.signing, poller.sinks.webhook; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_key_says_when_it_has_expired():
    """Without an end it never has."""
    assert not Key(lambda *_: "", None).expired(1e12)
    assert Key(lambda *_: "", 10).expired(10.5)


@pytest.mark.parametrize("secret", ["whsec_" + base64_of(SEED), "whsk_" + base64_of(SEED), "a plain text"])
def test_a_key_does_not_print(secret):
    """A defect's message may hold it."""
    assert repr(key(secret, 5.0)) == "Key(not_after_s=5.0)"
