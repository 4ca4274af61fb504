"""Settings of a webhook: URLs, addresses, proxies and TLS, and which of them are refused."""

import socket
import ssl
from datetime import datetime

import pytest
import trustme
from hook import ONE
from proxy import Proxy
from pydantic import ValidationError
from receiver import Receiver

from poller import connection
from poller.model import Delivered, Later
from poller.settings import SettingError
from poller.sinks.webhook import Config


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
