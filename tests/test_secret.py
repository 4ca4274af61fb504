"""Where secrets are kept, and what must not be printed."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from poller.secret import Secret, _guarded, secrets, unprinted
from poller.settings import SettingError, Strict


def test_a_secret_comes_from_the_environment(monkeypatch):
    """White space around it does not count."""
    monkeypatch.setenv("CRM", " s3cret\n")
    assert Secret(env="CRM").reveal() == "s3cret"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_absent_variable_is_named(monkeypatch, value):
    """Not set and empty are the same trouble."""
    monkeypatch.delenv("CRM", raising=False)
    if value is not None:
        monkeypatch.setenv("CRM", value)
    with pytest.raises(SettingError, match="the environment variable CRM is not set or empty"):
        Secret(env="CRM").reveal()


@pytest.mark.parametrize("value", ["two\nlines", "naïve", "nul\x7f"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(monkeypatch, value):
    """It would fail later, in a message that shows it."""
    monkeypatch.setenv("CRM", value)
    with pytest.raises(SettingError, match="one line of plain ASCII") as caught:
        Secret(env="CRM").reveal()
    assert value not in str(caught.value)


def test_a_secret_comes_from_a_private_file(tmp_path):
    """Mode 0600 is private."""
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    assert Secret(file=path).reveal() == "s3cret"


def test_a_file_that_others_can_read_is_refused_with_the_remedy(tmp_path):
    """The message is the command to run."""
    path = tmp_path / "token"
    path.write_text("s3cret")
    path.chmod(0o640)
    with pytest.raises(SettingError, match=f"chmod 600 {path}"):
        Secret(file=path).reveal()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """Absent, a directory, empty, or binary."""
    (tmp_path / "directory").mkdir(mode=0o700)
    for name, content, words in [("empty", b"", "is empty"), ("binary", b"\xff\xfe", "not a text file")]:
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SettingError, match=words):
            Secret(file=tmp_path / name).reveal()
    for name in ("absent", "directory"):
        with pytest.raises(SettingError, match="cannot be read"):
            Secret(file=tmp_path / name).reveal()


def test_what_mounts_a_secret_guards_it(tmp_path):
    """Docker, Kubernetes and systemd give modes of their own."""
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert _guarded(Path("/run/secrets/token"), {})
    assert _guarded(Path("/var/run/secrets/space/token"), {})
    assert _guarded(tmp_path / "token", credentials)
    assert not _guarded(tmp_path / "token", {})
    assert not _guarded(Path("/run/secrets/../token"), credentials)


def test_a_credential_comes_from_systemd(tmp_path, monkeypatch):
    """Its directory is told by the environment; its group mode is an ACL's."""
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Secret(credential="token").reveal() == "s3cret"


def test_a_credential_without_systemd_says_what_to_do(monkeypatch):
    """The line to add is in the message."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SettingError, match="LoadCredential=token:"):
        Secret(credential="token").reveal()


@pytest.mark.parametrize(
    "table", [{}, {"env": "A", "file": "b"}, {"credential": "../token"}, "s3cret", {"credential": ""}]
)
def test_a_secret_is_kept_in_one_place_and_never_inline(table):
    """None, two, a path for a name, or the secret itself."""
    with pytest.raises(ValidationError) as caught:
        Secret.model_validate(table)
    assert "s3cret" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("place", ["env", "file", "credential"])
@pytest.mark.parametrize("secret", ["whsec_c2VjcmV0", "whsk_c2VjcmV0", "a1B2" * 16])
def test_a_secret_for_the_name_of_its_place_is_refused_and_not_shown(place, secret):
    """A message about the place would show it."""
    with pytest.raises(ValidationError, match="say where it is kept") as caught:
        Secret.model_validate({place: secret})
    assert secret not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("name", ["TOKEN", "SPACE_INVOICES_TOKEN_OF_THE_PRODUCTION_ACCOUNT", "whsec", "t" * 31])
def test_names_are_no_secrets(name):
    """However long they are."""
    assert Secret.model_validate({"env": name}).env == name


def test_texts_that_do_not_print_are_found():
    """In tables, lists and mappings, however deep."""

    class Inner(Strict):
        url: Annotated[str, Field(repr=False)]
        name: str

    class Outer(Strict):
        inner: Inner
        rows: tuple[Inner, ...]
        tables: dict[str, Inner]

    one, two, three = (Inner(url=url, name="n") for url in ("a", "b", "c"))
    assert list(unprinted(Outer(inner=one, rows=(two,), tables={"x": three}))) == ["a", "b", "c"]


def test_every_secret_of_a_table_is_found_with_its_key():
    """In tables, lists and mappings, however deep."""

    class Inner(Strict):
        secret: Secret

    class Outer(Strict):
        inner: Inner
        rows: tuple[Inner, ...]
        named: dict[str, Inner]

    one = Inner(secret=Secret(env="A"))
    found = dict(secrets(Outer(inner=one, rows=(one,), named={"crm": one})))
    assert list(found) == ["inner.secret", "rows.0.secret", "named.crm.secret"]
