"""Secrets: where the configuration says that they are kept, and what of it must not be printed."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from poller.settings import FilePath, SettingError, Strict

_LONG_WORD = 32  # letters and digits in a row: no name, but a token
_MOUNTS = (Path("/run/secrets"), Path("/var/run/secrets"))


class Secret(Strict):
    """Where a secret is kept: exactly one of an environment variable, a file, or a systemd credential.

    The secret itself is read by ``reveal`` and never becomes part of this value.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["env"]}, {"required": ["file"]}, {"required": ["credential"]}],
            "examples": [{"env": "NAME"}, {"file": "/path"}, {"credential": "name"}],
        }
    )

    env: str | None = None
    file: FilePath | None = None
    credential: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_inline(cls, value: object) -> object:
        places = value.values() if isinstance(value, Mapping) else ()
        if isinstance(value, str) or any(isinstance(place, str) and _is_secret(place) for place in places):
            raise ValueError('should not be written here; say where it is kept: { env = "NAME" } or { file = "/path" }')
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if sum(place is not None for place in (self.env, self.file, self.credential)) != 1:
            raise ValueError('should name one place: { env = "NAME" }, { file = "/path" } or { credential = "name" }')
        if self.credential is not None and (not self.credential or "/" in self.credential):
            raise ValueError("credential should be a name, not a path")
        return self

    def reveal(self) -> str:
        """Read the secret now, without the white space around it.

        Raises:
            SettingError: It is not there, empty, open to others, or cannot be sent in a header.
        """
        secret = self._read().strip()
        if not secret:
            raise SettingError(
                f"{self._place()} is empty" if self.env is None else f"{self._place()} is not set or empty"
            )
        if not (secret.isascii() and secret.isprintable()):
            raise SettingError(f"{self._place()} should hold one line of plain ASCII characters")
        return secret

    def _place(self) -> str:
        if self.env is not None:
            return f"the environment variable {self.env}"
        return f"the credential {self.credential}" if self.file is None else str(self.file)

    def _read(self) -> str:
        if self.env is not None:
            return os.environ.get(self.env, "")
        if self.file is not None:
            return _read(self.file)
        if "CREDENTIALS_DIRECTORY" not in os.environ:
            raise SettingError(
                f"the credential {self.credential} needs systemd: CREDENTIALS_DIRECTORY is not set; "
                f"add LoadCredential={self.credential}:/path to the unit, or use {{ file = ... }}"
            )
        return _read(Path(os.environ["CREDENTIALS_DIRECTORY"]) / str(self.credential))


def _is_secret(place: str) -> bool:
    """Whether that is a secret where its place should be named: messages show a place."""
    return place.startswith(("whsec_", "whsk_")) or (len(place) >= _LONG_WORD and place.isalnum())


def check_private(path: Path) -> None:
    """Refuse a file that others can read, with ``SettingError``; ``OSError`` where it is not there."""
    if path.stat().st_mode & 0o077 and not _guarded(path, os.environ):
        raise SettingError(f"{path} can be read by others; run: chmod 600 {path}")


def _read(path: Path) -> str:
    try:
        check_private(path)
        return path.read_text()
    except UnicodeDecodeError:
        raise SettingError(f"{path} is not a text file") from None  # the cause would carry the bytes
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}") from error


def _guarded(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether what mounts the file guards it, so that its mode says nothing.

    Docker and Kubernetes mount secrets readable by all; systemd's credentials show an ACL's mask as group mode.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    mounts = (*_MOUNTS, Path(credentials)) if credentials else _MOUNTS
    return any(path.resolve().is_relative_to(mount.resolve()) for mount in mounts)


def secrets(value: object, at: str = "") -> Iterator[tuple[str, Secret]]:
    """Every secret in a table, with its key."""
    if isinstance(value, Secret):
        yield at, value
    elif isinstance(value, BaseModel):
        yield from secrets({name: getattr(value, name) for name in type(value).model_fields}, at)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, tuple):
        yield from secrets(dict(enumerate(value)), at)


def unprinted(value: object) -> Iterator[str]:
    """Every text in a table that its type does not print, such as the URL of a webhook."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            yield from [inner] if isinstance(inner, str) and not field.repr else unprinted(inner)
    elif isinstance(value, Mapping | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from unprinted(inner)
