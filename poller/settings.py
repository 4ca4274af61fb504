"""The words that configuration is written in: strict tables, durations, and secrets that do not print."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class SettingError(Exception):
    """A setting cannot be used. The message says which and what to do; the caller adds file and key."""


class Strict(BaseModel):
    """A table of the configuration: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError('should be a duration such as "30s", "5m" or "6h"')
    if isinstance(value, (int, float)):
        raise ValueError(f'should say its unit: "{value}s", "{value}m" or "{value}h"')
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value.replace(" ", ""):
        raise ValueError(f'"{value}" is not a duration; write one such as "30s", "5m", "6h" or "1h30m"')
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


Duration = Annotated[float, BeforeValidator(_seconds)]
"""A span written as ``"30s"``, ``"5m"``, ``"6h"``, ``"14d"`` or ``"1h30m"``; in seconds once read."""


class Secret(Strict):
    """Where a secret is kept: exactly one of an environment variable, a file, or a systemd credential.

    The secret itself is read by ``reveal`` and never becomes part of this value.
    """

    env: str | None = None
    file: Path | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if sum(place is not None for place in (self.env, self.file, self.credential)) != 1:
            raise ValueError(
                'should name one place: { env = "NAME" }, { file = "/path" } or { credential = "name" }'
            )
        return self

    def reveal(self) -> str:
        """Read the secret now; raises ``SettingError`` when it is not there, empty, or open to others."""
        if self.env is not None:
            secret = os.environ.get(self.env, "").strip()
            if not secret:
                raise SettingError(f"the environment variable {self.env} is not set or empty")
            return secret
        path = self.file or Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / str(self.credential)
        if self.file is None and "CREDENTIALS_DIRECTORY" not in os.environ:
            raise SettingError(
                f"the credential {self.credential} needs systemd: CREDENTIALS_DIRECTORY is not set; "
                f"add LoadCredential={self.credential}:/path to the unit, or use {{ file = ... }}"
            )
        return _read(path)


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077 and "CREDENTIALS_DIRECTORY" not in os.environ:
            raise SettingError(f"{path} can be read by others; run: chmod 600 {path}")
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from error
    if not secret:
        raise SettingError(f"{path} is empty")
    return secret
