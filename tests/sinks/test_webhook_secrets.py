"""Secrets of a webhook: each that has not expired signs every attempt, and none is shown."""

import base64
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hook import ONE
from receiver import Receiver, answer, close
from standardwebhooks import WebhookVerificationError

from poller import signing
from poller.http import Link
from poller.model import Delivered, Later
from poller.settings import SettingError
from poller.sinks.webhook import Config, Webhook


@pytest.mark.parametrize("secret", ["whsec_", "whsec_?", "whsec_abc"])
def test_an_unusable_secret_is_told_without_showing_it(made, secret):
    """At the start."""
    with Receiver() as receiver, pytest.raises(SettingError, match="the secret is not usable") as caught:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal=secret)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.fixture
def two(monkeypatch):
    """Two secrets in the environment: NEW and OLD."""
    for name in ("NEW", "OLD"):
        monkeypatch.setenv(name, signing.new_secret())

    return lambda name: os.environ[name]


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


def test_fault_57_all_secrets_sign_while_they_are_rotated(made, two):
    """A receiver verifies with the old one and with the new one: no downtime."""
    with Receiver() as receiver:
        sink = made(receiver, secrets=[{"env": "NEW"}, {"env": "OLD", "not_after": ago(days=-1)}])
        assert sink.send([ONE]) == [Delivered()]
    [record] = receiver.records
    record.verify(two("NEW"))
    record.verify(two("OLD"))
    assert record.headers["webhook-signature"].count("v1,") == 2


def test_a_secret_that_has_expired_signs_no_more(made, two):
    """The other goes on."""
    with Receiver() as receiver:
        made(receiver, secrets=[{"env": "NEW"}, {"env": "OLD", "not_after": ago(days=1)}]).send([ONE])
    [record] = receiver.records
    record.verify(two("NEW"))
    with pytest.raises(WebhookVerificationError):
        record.verify(two("OLD"))


def test_one_secret_at_least_has_not_expired(two):
    """At the start; ``not_after`` is said."""
    settings = {
        "kind": "webhook",
        "url": "https://hooks.example",
        "secrets": [{"env": "OLD", "not_after": ago(days=1)}],
    }
    with pytest.raises(SettingError, match=r"secrets: all have expired \(not_after\)"):
        Config.model_validate(settings).sink()


def test_when_the_last_secret_expires_events_wait(two):
    """By the clock of the attempt; nothing goes out unsigned, and no event is to blame."""
    until_s = time.time() + 3600
    times = iter([until_s - 1] * 2 + [until_s + 1] * 2)
    with Receiver() as receiver:
        keys = [signing.key(two("OLD"), until_s)]
        sink = Webhook(receiver.url, keys, 5, Link(), 1, clock=lambda: next(times))
        assert sink.send([ONE]) == [Delivered()]
        [outcome] = sink.send([ONE])
        sink.close()
    assert isinstance(outcome, Later)
    assert "all secrets have expired" in outcome.reason
    assert len(receiver.records) == 1


def test_fault_23_a_clock_that_is_not_set_signs_nothing(two):
    """A machine that starts in 1970 has its events wait until it knows the time."""
    with Receiver() as receiver:
        sink = Webhook(receiver.url, [signing.key(two("NEW"))], 5, Link(), 1, clock=lambda: 1000.0)
        [outcome] = sink.send([ONE])
        sink.close()
    assert isinstance(outcome, Later)
    assert "before 2025" in outcome.reason
    assert receiver.records == []


def test_every_attempt_is_signed_anew(two):
    """Time and signature are fresh, also at the instant repeat over a stale connection; id and bytes are the same."""
    seconds = count(int(time.time()))
    with Receiver(answer(500), close(), answer()) as receiver:
        sink = Webhook(receiver.url, [signing.key(two("NEW"))], 5, Link(), 1, clock=lambda: float(next(seconds)))
        sink.send([ONE])
        assert sink.send([ONE]) == [Delivered()]
        sink.close()
    for record in receiver.records:
        record.verify(two("NEW"))
    for header in ("webhook-timestamp", "webhook-signature"):
        assert len({record.headers[header] for record in receiver.records}) == 3
    assert {(record.id, record.body) for record in receiver.records} == {("evt_a", ONE.body)}


def test_an_ed25519_secret_signs_v1a(made):
    """A public key is enough to verify."""
    secret, public = signing.new_pair()
    with Receiver() as receiver:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal=secret).send([ONE])
    [record] = receiver.records
    version, _, given = record.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    message = f"evt_a.{record.headers['webhook-timestamp']}.".encode() + record.body
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    verifier.verify(base64.b64decode(given), message)


def test_which_secret_is_unusable_is_told(monkeypatch):
    """By its place in the list, not by itself."""
    monkeypatch.setenv("NEW", signing.new_secret())
    monkeypatch.setenv("OLD", "whsk_c2VjcmV0")
    config = Config(kind="webhook", url="https://hooks.example", secrets=[{"env": "NEW"}, {"env": "OLD"}])
    with pytest.raises(SettingError, match=r"the secrets\.1 is not usable: .*32 or 64 bytes") as caught:
        config.sink()
    assert "c2VjcmV0" not in str(caught.value)
