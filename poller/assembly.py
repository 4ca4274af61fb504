"""A service put together as the configuration asks, on a store of its own or on that of the one before."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from poller.actions.sink import Actions
from poller.config import Config
from poller.connections import connections
from poller.meter import Meter
from poller.model import Stream
from poller.service import Service
from poller.settings import SettingError
from poller.shaped import Shaped, Shapes
from poller.sinks import Sink, SinkConfig
from poller.sources.spaceinvoices import SpaceInvoices
from poller.stores.place import refuse_remote
from poller.stores.sqlite import SqliteStore


def source(config: Config, stop: threading.Event | None = None, meter: Meter | None = None) -> SpaceInvoices:
    """The API as the configuration names it; raises ``SettingError`` where the token cannot be read."""
    table = config.source
    return SpaceInvoices(
        table.token.reveal(),
        base_url=table.base_url,
        rate=table.allowed(),
        organizations=table.organizations,
        stop=stop,
        meter=meter,
    )


def assemble(config: Config, *, accept_loss: bool = False, state: Path | None = None, deliver: bool = True) -> Service:
    """Put together what the configuration asks for.

    ``state`` is another database than its own; without ``deliver`` there are no sinks. Raises
    ``SettingError`` and ``OpeningError``.
    """
    path = state or config.state.path
    if not config.state.allow_network:
        refuse_remote(path)
    return _put_together(
        config, lambda name: SqliteStore(path, name, accept_loss=accept_loss), {}, Meter(), deliver=deliver
    )


def renew(config: Config, before: Service) -> Service:
    """Put together what the configuration asks for, on the store of the service ``before``, which goes on meanwhile.

    Raises ``SettingError`` and ``StoreError``; then nothing is left of it.
    """
    return _put_together(config, lambda _: before.store, before.tools.turns, before.meter, deliver=True)


def _put_together(
    config: Config,
    open_store: Callable[[str], SqliteStore],
    turns: dict[Stream, threading.Lock],
    meter: Meter,
    *,
    deliver: bool,
) -> Service:
    stop = threading.Event()
    with ExitStack() as made:
        api = source(config, stop, meter)
        receivers: dict[str, Sink] = {}
        for name, table in config.sinks.items() if deliver else ():
            receivers[name] = sink(name, table)
            made.callback(receivers[name].close)
        queues = config.queues() if deliver else ()
        ways = connections(config.connections, config.known_systems(), config.own_connection(), stop) if queues else {}
        store = open_store(api.name)
        shape_of = Shapes(config.ways().shapes, store.shape)
        store.keep_shapes(config.shapes())
        sinks: dict[str, Sink] = {name: Shaped(receiver, shape_of) for name, receiver in receivers.items()}
        sinks |= {name: Actions(shape_of, ways, origin=config.source.origin) for name in queues}
        made.pop_all()
    return Service(config.plan(), api, store, sinks, stop, config.state.limits(), turns, meter)


def sink(name: str, table: SinkConfig) -> Sink:
    """Make a sink; raises ``SettingError`` with its key where it cannot be made."""
    try:
        return table.sink()
    except SettingError as error:
        raise SettingError(f"sinks.{name}: {error}") from error
