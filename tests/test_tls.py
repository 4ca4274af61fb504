"""TLS: who is believed, and who one is."""

import datetime as dt
import ssl
import subprocess

import pytest
import trustme
from receiver import Receiver

from poller import tls
from poller.http import Client, ConnectFailed, Disconnected, HttpError, Link
from poller.settings import SettingError

PAST = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def ca():
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def files(ca, tmp_path_factory):
    """``ca.pem``, and a client's ``cert.pem``, ``key.pem`` and ``both.pem``, each closed to others."""
    folder = tmp_path_factory.mktemp("tls")
    client = ca.issue_cert("poller@example.com")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    client.private_key_pem.write_to_path(folder / "key.pem")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    for path in folder.iterdir():
        path.chmod(0o600)
    return folder


def server(ca, *hosts, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*hosts or ("127.0.0.1",), **options).configure_cert(context)
    return context


def asked(receiver, context):
    """The status of a request over ``context``."""
    client = Client(link=Link(tls=context))
    try:
        return client.request("GET", receiver.url, deadline_s=5, max_bytes=100).status
    finally:
        client.close()


def test_an_authority_of_ones_own_is_believed(ca, files):
    """The certificate of the receiver comes from it."""
    with Receiver(tls=server(ca)) as receiver:
        assert asked(receiver, tls.context(files / "ca.pem")) == 200


def test_an_authority_of_ones_own_replaces_the_others(files):
    """It alone vouches for the receiver."""
    assert len(tls.context(files / "ca.pem").get_ca_certs()) == 1
    assert len(tls.context().get_ca_certs()) > 50


@pytest.mark.parametrize(
    ("hosts", "options", "words"),
    [
        ((), {"not_before": PAST, "not_after": PAST + dt.timedelta(30)}, "certificate has expired"),
        (("other.example",), {}, "IP address mismatch"),
    ],
)
def test_fault_45_a_certificate_that_is_not_good_is_told(ca, files, hosts, options, words):
    """Expired, or of another host."""
    with Receiver(tls=server(ca, *hosts, **options)) as receiver:
        with pytest.raises(ConnectFailed, match=f"its certificate is not accepted: .*{words}"):
            asked(receiver, tls.context(files / "ca.pem"))
        assert receiver.records == []


def test_an_unknown_authority_is_not_believed(ca, files):
    """Neither by the usual ones, nor by another of one's own."""
    other = trustme.CA(organization_name="Other")
    for context in (tls.context(), tls.context(files / "ca.pem")):
        with Receiver(tls=server(other)) as receiver, pytest.raises(ConnectFailed, match="unable to get local issuer"):
            asked(receiver, context)


@pytest.fixture
def asking(ca):
    """A server that wants a client certificate from the same authority."""
    context = server(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    return context


@pytest.mark.parametrize("cert", [("cert.pem", "key.pem"), ("both.pem",)])
def test_a_client_certificate_is_shown(asking, files, cert):
    """With its key in a file of its own, or in the same."""
    context = tls.context(files / "ca.pem", *(files / name for name in cert))
    with Receiver(tls=asking) as receiver:
        assert asked(receiver, context) == 200


def test_that_a_client_certificate_is_wanted_is_told(asking, files):
    """The key to set is in the message, unless the server closed before it could be read."""
    with Receiver(tls=asking) as receiver:
        with pytest.raises(Disconnected, match=r"asks for a client certificate: set client_cert|reset by peer"):
            asked(receiver, tls.context(files / "ca.pem"))
        assert receiver.records == []


def test_that_a_client_certificate_is_unknown_is_told(asking, ca, files, tmp_path):
    """Its authority is another."""
    both = tmp_path / "both.pem"
    trustme.CA().issue_cert("poller@example.com").private_key_and_cert_chain_pem.write_to_path(both)
    both.chmod(0o600)
    with Receiver(tls=asking) as receiver, pytest.raises(HttpError, match=r"does not know the authority|reset by peer"):
        asked(receiver, tls.context(files / "ca.pem", both))


def test_one_context_for_the_same_files(files):
    """Making one costs 35 ms; all verify, and none by less."""
    assert tls.context() is tls.context()
    assert tls.context(files / "ca.pem") is tls.context(files / "ca.pem")
    assert tls.context(files / "ca.pem") is not tls.context(files / "ca.pem", files / "both.pem")
    for context in (tls.context(), tls.context(files / "ca.pem", files / "both.pem")):
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_file_that_was_written_anew_is_read_anew(files, tmp_path):
    """A renewed certificate is taken at the next start."""
    path = tmp_path / "ca.pem"
    path.write_bytes((files / "ca.pem").read_bytes())
    first = tls.context(path)
    trustme.CA().cert_pem.write_to_path(path)
    assert tls.context(path) is not first


def test_the_environment_gets_no_session_keys(monkeypatch, tmp_path, files):
    """Python would write them where SSLKEYLOGFILE says."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    tls._context.cache_clear()
    assert tls.context().keylog_filename is None
    assert tls.context(files / "ca.pem").keylog_filename is None


def test_the_environment_names_no_authorities(monkeypatch, files):
    """SSL_CERT_FILE is not looked at."""
    monkeypatch.setenv("SSL_CERT_FILE", str(files / "ca.pem"))
    tls._context.cache_clear()
    assert len(tls.context().get_ca_certs()) > 50


@pytest.mark.parametrize("setting", ["ca_file", "client_cert", "client_key"])
@pytest.mark.parametrize("name", ["absent.pem", "."])
def test_a_file_that_cannot_be_read_is_named(files, setting, name):
    """With its key."""
    paths = {"client_cert": files / "cert.pem"} | {setting: files / name}
    with pytest.raises(SettingError, match=rf"^{setting}: {files / name} cannot be read: "):
        tls.context(**paths)


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_authorities_that_are_none_are_told(tmp_path, content):
    """Empty, not PEM, or PEM of nonsense."""
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(SettingError, match=r"^ca_file: .*ca\.pem holds no certificates in PEM form"):
        tls.context(tmp_path / "ca.pem")


def _closed(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_client_certificate_that_is_none_is_told(files, tmp_path):
    """Each file by what it should hold."""
    cert, key = files / "cert.pem", files / "key.pem"
    nonsense = _closed(tmp_path / "nonsense.pem", b"\xff")
    damaged = _closed(tmp_path / "damaged.pem", key.read_bytes()[:60] + b"\n-----END EC PRIVATE KEY-----\n")
    other = _closed(tmp_path / "other.pem", trustme.CA().issue_cert("a.example").private_key_pem.bytes())
    for paths, words in [
        ((nonsense, key), r"client_cert: .*nonsense\.pem holds no certificate in PEM form"),
        ((cert, nonsense), r"client_key: .*nonsense\.pem holds no private key in PEM form$"),
        ((cert,), r"client_cert: .*cert\.pem holds no private key in PEM form; set client_key"),
        ((cert, damaged), r"client_cert: .*cert\.pem and its key cannot be used"),
        ((cert, other), r"client_key: .*other\.pem holds another key than that of the certificate in .*cert\.pem"),
    ]:
        with pytest.raises(SettingError, match=words):
            tls.context(None, *paths)


@pytest.mark.parametrize("legacy", [[], ["-traditional"]])
def test_an_encrypted_key_is_told_not_asked_for(files, tmp_path, legacy):
    """A daemon has no terminal to ask at."""
    key = tmp_path / "key.pem"
    command = ["openssl", "pkey", "-in", files / "key.pem", "-aes128", "-passout", "pass:x", "-out", key, *legacy]
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)
    with pytest.raises(SettingError, match=r"client_key: .* holds an encrypted key; write it without a password"):
        tls.context(None, files / "cert.pem", key)


def test_a_key_that_others_can_read_is_refused(files, tmp_path):
    """In whichever file it is; certificates may be read by all."""
    for names in (["both.pem"], ["cert.pem", "key.pem"]):
        paths = [_closed(tmp_path / name, (files / name).read_bytes()) for name in names]
        paths[-1].chmod(0o644)
        with pytest.raises(SettingError, match=f"{paths[-1]} can be read by others; run: chmod 600"):
            tls.context(None, *paths)
    (tmp_path / "cert.pem").chmod(0o644)
    (tmp_path / "key.pem").chmod(0o600)
    assert tls.context(None, tmp_path / "cert.pem", tmp_path / "key.pem")
