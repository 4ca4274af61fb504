"""Actions done as the poller does them: over real HTTP, through the sink, to a strict server."""

from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from time import monotonic, sleep
from types import SimpleNamespace

from systems import contextual, coupontools, spaceinvoices

from poller import tls
from poller.actions import Connection, systems
from poller.actions.sink import Actions
from poller.expression import template
from poller.http import Link
from poller.model import Delivery, Kind
from poller.rate import Bucket
from poller.samples import sample
from poller.shape import Shape, Step
from poller.sources.spaceinvoices import RESOURCES

VALUES = {
    "coupontools": {"client_id": coupontools.CLIENT_ID, "client_secret": coupontools.CLIENT_SECRET},
    "contextual-ai": {"api_key": contextual.API_KEY},
    "space-invoices": {"token": spaceinvoices.TOKEN},
}
SECRETS = [value for values in VALUES.values() for value in values.values()]
HURRY_S = 0.5  # what is sent is there long before; whether it is answered, a server decides by itself
VARIABLES = {"event", "data", "previous", "changed", "steps"}


def connection(system, url, *, timeout_s=10.0, values=None, link=None, rate=1000.0):
    """A connection as the configuration makes one."""
    return Connection(
        name=system.name,
        system=system,
        base_url=url,
        timeout_s=timeout_s,
        values=values or VALUES[system.name],
        bucket=Bucket(rate, Event()),
        link=link or Link(tls=tls.context()),
    )


def steps(*rows):
    """A route's steps: pairs of ``system.action`` and what is said of it; the ids are s1, s2, ..."""
    made = (
        Step(f"s{place}", *do.split("."), template(given or {}, VARIABLES)) for place, (do, given) in enumerate(rows, 1)
    )
    return Shape("{}", "a-route", steps=tuple(made))


def delivery(resource="documents", kind=Kind.CREATED, **fields):
    event = sample("spaceinvoices", RESOURCES[resource], kind)
    made = Delivery("it", 1, 1, event.id, event.trigger, 0, 0, event.body, route="a-route", shape="shape-1")
    return made._replace(**fields)


@contextmanager
def acting(*servers, definition, known=None, **options):
    """A sink whose deliveries have the steps of ``definition``; ``servers`` are pairs of a system's name and a URL.

    ``send`` sends one delivery, ``run`` does all its steps; ``hurry`` sends one that is not going to be answered.
    """
    known = {**systems(), **(known or {})}
    limits = {key: options.pop(key) for key in ("timeout_s", "values", "link", "rate") if key in options}
    ways = {name: connection(known[name], url, **limits) for name, url in servers}
    sink = Actions(lambda _: definition, ways, **options)

    def send(one):
        [outcome] = sink.send([one])
        return outcome

    def run(one):
        outcome = send(one)
        while hasattr(outcome, "steps"):
            one = one._replace(steps=outcome.steps)
            outcome = send(one)
        return outcome

    def hurry(one):
        patient = dict(ways)
        ways.update({name: replace(way, timeout_s=HURRY_S) for name, way in ways.items()})
        outcome = send(one)
        ways.update(patient)
        return outcome

    try:
        yield SimpleNamespace(sink=sink, send=send, run=run, hurry=hurry)
    finally:
        sink.close()


def settled(look, expected, within_s=10.0):
    """What ``look`` gives once it is ``expected``: a server may still be busy with what nobody waits for."""
    ends_at = monotonic() + within_s
    while (found := look()) != expected and monotonic() < ends_at:
        sleep(0.01)
    return found
