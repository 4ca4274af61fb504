"""``[connections.NAME]``: whose the requests to a system are. What it has to hold, its system says."""

from collections.abc import Mapping
from threading import Event
from time import time
from typing import Annotated, Any

from pydantic import Field, create_model

from poller.actions import Action, Call, Connection, Repeat, System
from poller.actions.answer import Answer, judge
from poller.actions.clients import Clients
from poller.actions.request import MASK, ask
from poller.http import Link
from poller.model import Later
from poller.rate import Bucket, NoTurn
from poller.secret import Secret
from poller.settings import HttpsUrl, Interval, Strict


class ConnectionTable(Strict):
    """What every connection takes, beside what its system asks for; without ``system`` it is named after it.

    ``allow_private`` permits addresses that are not on the public internet.
    """

    system: str | None = None
    base_url: HttpsUrl | None = None
    rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    timeout: Annotated[Interval, Field(le=600)] | None = None
    allow_private: bool = False


def table(system: System) -> type[ConnectionTable]:
    """The table of a connection to ``system``, in which all that it asks for is required."""
    kinds: dict[str, type] = {"secret": Secret, "text": str}
    fields: dict[str, Any] = {key: (kinds[kind], ...) for key, kind in system.connection.items()}
    return create_model("ConnectionTable", __base__=ConnectionTable, **fields)


def connect(name: str, system: System, settings: ConnectionTable, stop: Event) -> Connection:
    """Make a connection; ``stop`` ends all waits for a turn. Raises ``SettingError`` where a secret cannot be had."""
    held = {key: getattr(settings, key) for key in system.connection}
    values = {key: value.reveal() if isinstance(value, Secret) else str(value) for key, value in held.items()}
    return _connection(name, system, settings, stop, values)


def veiled(name: str, system: System, settings: ConnectionTable) -> Connection:
    """The connection with a mask in place of each secret, none of which is read: to show requests by."""
    held = {key: getattr(settings, key) for key in system.connection}
    values = {key: MASK if isinstance(value, Secret) else str(value) for key, value in held.items()}
    return _connection(name, system, settings, Event(), values)


def _connection(
    name: str, system: System, settings: ConnectionTable, stop: Event, values: Mapping[str, str]
) -> Connection:
    return Connection(
        name=name,
        system=system,
        base_url=settings.base_url or system.base_url,
        timeout_s=settings.timeout or system.timeout_s,
        values=values,
        bucket=Bucket(settings.rate or system.rate, stop),
        link=Link(allow_private=settings.allow_private),
    )


def tried(connection: Connection, stop: Event) -> Answer | None:
    """What the system says to its cheapest request, which changes nothing; None where it has none."""
    probe = connection.system.probe
    if probe is None:
        return None
    trial = Action("probe", "Probe", "", probe.method, probe.path, Repeat.SAFE, {})
    call, clients = Call(connection, trial, {}), Clients(stop)
    try:
        return judge(call, clients.ask(connection, ask(call, probe)), int(time() * 1000))
    except NoTurn as none:
        return Later(str(none), none.after_s)
    finally:
        clients.close()
