"""Events as HTTP requests."""

import base64
import os
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from proxy import Proxy
from pydantic import ValidationError
from receiver import Receiver, answer, bomb, close, cut, delay, endless, hang, redirect, reset
from standardwebhooks import WebhookVerificationError

from poller import connection, signing
from poller.http import Link
from poller.model import Delivered, Delivery, Gone, Later, Refused
from poller.settings import SettingError
from poller.sinks.webhook import Config, Webhook

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a secret key").decode()
ONE = Delivery("hook", 1, 1, "evt_a", "client.created", 0, 0, '{"id":"evt_a","name":"Žiga","total":10.10}'.encode())


@pytest.fixture
def made(monkeypatch):
    """Make sinks that are closed at the end; settings as in a file."""
    sinks = []

    def make(receiver, **options):
        monkeypatch.setenv("HOOK_SECRET", options.pop("reveal", SECRET))
        sinks.append(Config.model_validate({"kind": "webhook", "url": receiver.url} | options).sink())
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


def test_the_request_is_a_cloudevent(made):
    """Structured mode: the stored bytes, and the headers that say so."""
    with Receiver() as receiver:
        assert made(receiver).send([ONE]) == [Delivered()]
    [record] = receiver.records
    assert (record.method, record.target, record.body) == ("POST", "/hook", ONE.body)
    assert record.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert record.headers["user-agent"].startswith("poller/")
    assert record.headers["accept-encoding"] == "identity"
    assert abs(int(record.headers["webhook-timestamp"]) - time.time()) < 5
    assert (record.id, record.attempt) == ("evt_a", 1)
    assert "webhook-signature" not in record.headers


@pytest.mark.parametrize("secret", [SECRET, "whsec_c2hvcnQ="])
def test_the_signature_is_good(made, secret):
    """By the reference implementation; and with another secret it is not."""
    with Receiver() as receiver:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal=secret).send([ONE])
    [record] = receiver.records
    record.verify(secret)
    with pytest.raises(WebhookVerificationError):
        record.verify("whsec_" + base64.b64encode(b"another").decode())


def test_a_secret_may_be_plain_text(made):
    """Its bytes are the key."""
    with Receiver() as receiver:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal="plain text").send([ONE])
    receiver.records[0].verify(b"plain text")


def test_an_attempt_is_counted(made):
    """The header is ours, and tells the receiver how often it refused before."""
    with Receiver() as receiver:
        made(receiver).send([ONE._replace(attempts=4)])
    assert receiver.records[0].attempt == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Delivered), (202, Delivered), (500, Later), (410, Gone), (404, Refused), (422, Refused)],
)
def test_the_status_decides(made, status, kind):
    """By the table of ``retry.outcome``."""
    with Receiver(answer(status)) as receiver:
        [outcome] = made(receiver).send([ONE])
    assert isinstance(outcome, kind)


def test_a_busy_receiver_is_obeyed(made):
    """Its Retry-After is handed on."""
    with Receiver(answer(429, [("Retry-After", "7")])) as receiver:
        [outcome] = made(receiver).send([ONE])
    assert outcome == Later("status 429: too many requests", 7)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fault_49_a_redirect_to_another_machine_is_not_followed(made, status):
    """Neither there, nor on this one; the event stays due, and the reason names the host and no more."""
    with Receiver() as other:
        for location, host in (("http://169.254.169.254/canary", "169.254.169.254"), (other.url, "127.0.0.1")):
            with Receiver(redirect(location, status)) as receiver:
                [outcome] = made(receiver).send([ONE])
            assert isinstance(outcome, Later)
            assert f"status {status}: redirected to {host}, which is not followed" in outcome.reason
            assert "canary" not in outcome.reason
    assert other.records == []


@pytest.mark.parametrize("rude", [hang, close, reset], ids=lambda rude: rude.__name__)
def test_fault_46_47_no_answer_is_for_later(made, rude):
    """The receiver may have it or not: it comes again with the same id."""
    with Receiver(rude()) as receiver:
        [outcome] = made(receiver, timeout="200ms").send([ONE])
    assert isinstance(outcome, Later)
    assert outcome.reason.startswith(f"http://127.0.0.1:{receiver.port}: ")
    assert "hook" not in outcome.reason


@pytest.mark.parametrize("sloppy", [cut(), endless(), bomb(1 << 20)], ids=["cut", "endless", "bomb"])
def test_fault_48_55_after_the_status_nothing_matters(made, sloppy):
    """A body that is cut, endless or a bomb: the receiver said yes."""
    with Receiver(sloppy) as receiver:
        assert made(receiver).send([ONE]) == [Delivered()]


@pytest.mark.parametrize("rude", [close, reset], ids=lambda rude: rude.__name__)
def test_a_stale_connection_is_replaced_at_once(made, rude):
    """A receiver that closed a kept connection is asked once more, on a new one."""
    with Receiver(answer(), rude()) as receiver:
        sink = made(receiver)
        assert sink.send([ONE]) + sink.send([ONE]) == [Delivered()] * 2
    assert [record.connection for record in receiver.records] == [1, 1, 2]
    assert len({(record.id, record.attempt, record.body) for record in receiver.records}) == 1


def test_a_stale_connection_is_replaced_once(made):
    """Then it is trouble of the receiver."""
    with Receiver(answer(), close(), close()) as receiver:
        sink = made(receiver)
        sink.send([ONE])
        assert isinstance(sink.send([ONE])[0], Later)
    assert len(receiver.records) == 3


def test_each_thread_has_its_connection(made):
    """Four requests at once do not wait for each other."""
    with Receiver(always=delay(0.1)) as receiver:
        sink = made(receiver)
        threads = [threading.Thread(target=sink.send, args=([ONE],)) for _ in range(sink.concurrency)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert time.monotonic() - began < 0.35
    assert sorted(record.connection for record in receiver.records) == [1, 2, 3, 4]


def test_close_abandons_what_is_under_way(made):
    """A receiver that hangs does not keep the process; the event stays due."""
    outcomes = []
    with Receiver(hang()) as receiver:
        sink = made(receiver)
        thread = threading.Thread(target=lambda: outcomes.extend(sink.send([ONE])))
        thread.start()
        while not receiver.records:
            time.sleep(0.01)
        began = time.monotonic()
        sink.close()
        thread.join()
    assert time.monotonic() - began < 0.4
    assert isinstance(outcomes[0], Later)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/in?key=value",
        "https://hooks.example:8443",
        "http://127.0.0.1:8000/",
        "http://localhost/",
        "http://[::1]/",
    ],
)
def test_a_url_is_https_or_loopback(url):
    """And may have a query."""
    assert Config.model_validate({"kind": "webhook", "url": url}).url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hooks.example", 'begins with "https://"'),
        ("ftp://hooks.example", 'begins with "https://"'),
        ("https:///path", 'begins with "https://"'),
        ("https://hooks.example:port/", "is not a URL"),
        ("https://me:pw@hooks.example/", "should have no user and password"),
        ("https://hooks.example/#part", "should have no fragment"),
        ("https://hooks.example/a b", "no blanks"),
        ("https://hooks.example/\n", "no blanks"),
        ("http://hooks.example/", "set allow_http = true"),
        ("http://10.0.0.1/", "set allow_http = true"),
    ],
)
def test_another_url_is_refused_with_the_reason(url, words):
    """When the settings are read, not at the first event."""
    with pytest.raises(ValidationError, match=words):
        Config.model_validate({"kind": "webhook", "url": url})


def test_plain_http_can_be_allowed():
    """For a network that one trusts."""
    settings = {"kind": "webhook", "url": "http://hooks.internal/", "allow_http": True}
    Config.model_validate(settings).sink().close()


def test_a_url_is_not_printed():
    """It is often a secret by itself."""
    assert "hooks.example" not in repr(Config.model_validate({"kind": "webhook", "url": "https://hooks.example"}))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_?", "whsec_abc"])
def test_an_unusable_secret_is_told_without_showing_it(made, secret):
    """At the start."""
    with Receiver() as receiver, pytest.raises(SettingError, match="the secret is not usable") as caught:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal=secret)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("timeout", ["0s", 15, "soon"])
def test_a_timeout_is_a_duration(timeout):
    """More than nothing, and with its unit."""
    with pytest.raises(ValidationError):
        Config.model_validate({"kind": "webhook", "url": "https://hooks.example", "timeout": timeout})


def refused(**settings):
    """The words in which settings are refused."""
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"kind": "webhook", "url": "https://hooks.example"} | settings)
    return str(caught.value)


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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"secret": {"env": "A"}, "secrets": [{"env": "B"}]}, "secret and secrets say the same"),
        ({"secrets": [{"env": name} for name in "ABCD"]}, "should be 3 at most"),
        ({"secrets": []}, "at least 1 item"),
        ({"secrets": ["hunter2"]}, "should not be written here"),
        ({"secrets": [{"env": "A", "not_after": "2026-12-31"}]}, "a time without quotes"),
        ({"secrets": [{"env": "A", "not_after": datetime(2026, 12, 31)}]}, "2026-12-31T00:00:00Z is UTC"),  # noqa: DTZ001
        ({"client_key": "key.pem"}, "client_key should have a client_cert"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"concurrency": 17}, "less than or equal to 16"),
        ({"proxy": "socks5://proxy.example"}, 'should be "http://host:port"'),
        ({"proxy": "http://me:hunter3@proxy.example"}, "should hold no password"),
        ({"proxy": "http://proxy.example/path"}, "and no more"),
        ({"proxy": {"url": "http://proxy.example", "password": {"env": "A"}}}, "should name the user"),
        ({"proxy": {"url": "http://proxy.example", "user": "a:b"}}, "without a colon"),
        ({"proxy": 3128}, "valid string"),
        ({"verify": False}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, words):
    """And there is no switch that turns verification off."""
    assert words in refused(**settings)


@pytest.mark.parametrize("setting", ["url", "proxy"])
@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("169.254.169.254", False),
        ("0xA9FEA9FE", False),
        ("[fe80::1]", False),
        ("[64:ff9b::169.254.169.254]", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),
        ("10.0.0.1", True),
        ("[fd00::1]", True),
        ("2130706433", True),
    ],
)
def test_an_address_in_a_url_is_judged_when_it_is_read(setting, host, permitted):
    """Also as the C library spells it; private ones can be permitted."""
    assert f"{setting} cannot be connected to: " in refused(**{setting: f"https://{host}:8443"})
    settings = {"kind": "webhook", "url": "https://hooks.example", "allow_private": True}
    if permitted:
        assert Config.model_validate(settings | {setting: f"https://{host}"})
    else:
        assert "never connected to" in refused(allow_private=True, **{setting: f"https://{host}"})


def test_a_name_that_stands_for_a_private_address_is_for_later(made, monkeypatch):
    """Its event stays due, the reason is the key to set; where that is set it is sent."""
    monkeypatch.setattr(connection, "_resolve", lambda _, port: [(socket.AF_INET, ("127.0.0.1", port))])
    with Receiver() as receiver:
        receiver.url = receiver.url.replace("127.0.0.1", "hooks.test")
        [outcome] = made(receiver, allow_http=True).send([ONE])
        assert isinstance(outcome, Later)
        assert "allow_private = true" in outcome.reason
        assert made(receiver, allow_http=True, allow_private=True).send([ONE]) == [Delivered()]


def test_events_go_through_a_proxy(made, monkeypatch):
    """With the password from where it is kept."""
    monkeypatch.setenv("PROXY_PASSWORD", "pa55")
    with Proxy(password="pa55") as proxy, Receiver() as receiver:
        table = {"url": proxy.url, "user": "poller", "password": {"env": "PROXY_PASSWORD"}}
        assert made(receiver, proxy=table).send([ONE]) == [Delivered()]
        [outcome] = made(receiver, proxy=proxy.url).send([ONE])
    assert proxy.asked[0].startswith("POST http://127.0.0.1:")
    assert isinstance(outcome, Later)
    assert "wants another user or password" in outcome.reason


def test_a_receiver_with_an_authority_of_its_own_that_asks_who_is_there(made, tmp_path):
    """``ca_file``, ``client_cert`` and ``client_key`` together; one context for all sinks that name the same."""
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    ca.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    client = ca.issue_cert("poller@example.com")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    (tmp_path / "key.pem").touch(0o600)
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {"client_cert": str(tmp_path / "cert.pem"), "client_key": str(tmp_path / "key.pem")}
    with Receiver(tls=tls) as receiver:
        [first, second] = [made(receiver, ca_file=str(tmp_path / "ca.pem"), **files) for _ in range(2)]
        assert first.send([ONE]) + second.send([ONE]) == [Delivered()] * 2
        assert first._link.tls is second._link.tls
        [outcome] = made(receiver, **files).send([ONE])
        assert isinstance(outcome, Later)
        assert "its certificate is not accepted" in outcome.reason


def test_a_file_of_tls_that_is_missing_is_told_at_the_start(made):
    """Not at the first event."""
    with Receiver() as receiver, pytest.raises(SettingError, match=r"ca_file: /nowhere/ca\.pem cannot be read"):
        made(receiver, ca_file="/nowhere/ca.pem")


@pytest.mark.parametrize("wanted", [1, 16])
def test_concurrency_is_a_setting(made, wanted):
    """Four if nothing is said."""
    with Receiver() as receiver:
        assert made(receiver, concurrency=wanted).concurrency == wanted
        assert made(receiver).concurrency == 4
