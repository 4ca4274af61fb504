"""``[connections.NAME]`` of the configuration: whose account the actions of a system are done in."""

import threading
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from poller import tls
from poller.actions import Connection, System
from poller.http import Link
from poller.problems import nearest
from poller.rate import Bucket
from poller.settings import FilePath, HttpsUrl, Secret, Strict

OWN = "space-invoices"
"""The system that is also the source: without a connection of its own it is reached as that is."""


class ConnectionTable(Strict):
    """``values`` are what the system asks for, such as ``client_secret``; the other keys say how it is reached."""

    base_url: HttpsUrl | None = None
    rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    allow_private: bool = False
    ca_file: FilePath | None = None
    values: dict[str, Secret | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _by_key(cls, value: Any) -> Any:  # noqa: ANN401 - what the file holds
        if not isinstance(value, Mapping):
            return value
        own = {key: inner for key, inner in value.items() if key in cls.model_fields and key != "values"}
        return own | {"values": {key: inner for key, inner in value.items() if key not in own}}


def objections(tables: Mapping[str, ConnectionTable], systems: Mapping[str, System]) -> Iterator[str]:
    """What is wrong with connections beside the systems that they are to: ``key: what``."""
    for name, table in tables.items():
        at = f"connections.{name}"
        if name not in systems:
            yield f"{at}: there is no system of this name" + nearest(name, list(systems))
            continue
        wanted = systems[name].connection
        yield from (f"{at}.{key}: is missing" for key in wanted if key not in table.values)
        for key, value in table.values.items():
            if key not in wanted:
                known = [*wanted, *(field for field in ConnectionTable.model_fields if field != "values")]
                yield f"{at}.{key}: unknown key" + nearest(key, known)
            elif wanted[key] == "secret" and isinstance(value, str):
                yield f'{at}.{key}: should not be written here; say where it is kept: {{ env = "NAME" }}'


def connection(name: str, table: ConnectionTable, system: System, stop: threading.Event) -> Connection:
    """Make it; raises ``SettingError`` where a secret or a file cannot be had."""
    values = {key: value if isinstance(value, str) else value.reveal() for key, value in table.values.items()}
    return Connection(
        name,
        system,
        table.base_url or system.base_url,
        values,
        Bucket(table.rate or system.rate, stop),
        Link(table.allow_private, tls.context(table.ca_file)),
    )
