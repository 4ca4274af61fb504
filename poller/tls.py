"""TLS contexts: always verified, by the usual authorities or those of a file; with a client certificate or without."""

import ssl
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from poller.secret import check_private
from poller.settings import SettingError


def context(
    ca_file: Path | None = None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Make a context, or give the one there is for the same files as they are now: one costs 35 ms.

    With ``ca_file`` its authorities count instead of the usual ones, which are Mozilla's, as the package
    certifi carries them. The key is in ``client_key``, else with the certificate in ``client_cert``.

    Raises:
        SettingError: A file cannot be read or used, or the key is open to others.
    """
    ca, cert, key = (
        None if path is None else _File(name, path, *_stamp(name, path))
        for name, path in (("ca_file", ca_file), ("client_cert", client_cert), ("client_key", client_key))
    )
    if cert is not None:
        check_private((key or cert).path)
    return _context(ca, cert, key)


class _File(NamedTuple):
    """A file of a setting. It is another one once it was written anew."""

    setting: str
    path: Path
    inode: int
    size_bytes: int
    written_ns: int

    def error(self, cause: str) -> SettingError:
        return SettingError(f"{self.setting}: {self.path} {cause}")

    def text(self) -> str:
        return self.path.read_bytes().decode("latin-1")


def _stamp(setting: str, path: Path) -> tuple[int, int, int]:
    try:
        with path.open("rb"):
            stat = path.stat()
    except OSError as error:
        raise SettingError(f"{setting}: {path} cannot be read: {error.strerror or error}") from error
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=64)
def _context(ca: _File | None, cert: _File | None, key: _File | None) -> ssl.SSLContext:
    made = _usual() if ca is None else _vouched(ca)
    made.keylog_filename = None  # type: ignore[assignment]  # Python takes it from the environment
    if cert is not None:
        _identify(made, cert, key or cert)
    return made


def _usual() -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 - a tenth of a second; most commands connect to nobody

    return httpx.create_ssl_context(trust_env=False)


def _vouched(ca: _File) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca.path)
    except (ssl.SSLError, ValueError):
        raise ca.error("holds no certificates in PEM form") from None


def _identify(made: ssl.SSLContext, cert: _File, key: _File) -> None:
    if "-----BEGIN CERTIFICATE-----" not in cert.text():
        raise cert.error("holds no certificate in PEM form")
    if "PRIVATE KEY-----" not in key.text():
        raise key.error("holds no private key in PEM form" + ("; set client_key" if key is cert else ""))
    if "ENCRYPTED" in key.text():
        raise key.error("holds an encrypted key; write it without a password: openssl pkey -in FILE -out PLAIN")
    try:
        made.load_cert_chain(cert.path, key.path, password="")  # or it would ask the terminal for one
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise key.error(f"holds another key than that of the certificate in {cert.path}") from None
        raise cert.error("and its key cannot be used: one of them is damaged, or too weak") from None
