"""The resources that the simulator serves, one row each, and a realistic record of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

Json = Any
"""A JSON value of any type."""

Fields = dict[str, Json]
"""The fields of one record, by name."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as the API's routes know it.

    ``path`` is the relation below an organization, ``route`` the model's own route. ``gets`` and
    ``writes`` say whether the API offers the reading and the writing of one record by its id.
    """

    name: str
    model: str
    path: str
    route: str
    required: tuple[str, ...] = ()
    gets: bool = True
    writes: bool = True


_ROWS = (
    Resource("clients", "Client", "clients", "Clients", required=("name",)),
    Resource("documents", "Document", "documents", "Documents"),
    Resource("items", "Item", "items", "Items"),
    Resource("payments", "Payment", "payments", "Payments", required=("amount", "type", "date")),
    Resource("recurrences", "Recurrence", "recurrences", "Recurrences", required=("name", "type")),
    Resource("taxes", "Tax", "taxes", "Taxes"),
    Resource("units", "Unit", "units", "Units", required=("name",), gets=False),
    Resource("categories", "Category", "categories", "Categories", required=("name", "alias")),
    Resource("price_lists", "PriceList", "priceLists", "PriceLists", required=("name",)),
    Resource("prices", "Price", "prices", "Prices", required=("amount",), gets=False),
    Resource("orders", "Order", "orders", "Orders", writes=False),
)

RESOURCES: Mapping[str, Resource] = {row.name: row for row in _ROWS}
"""Every resource by the poller's name for it: the ten, and ``price_lists``."""


@cache
def _example_text(name: str) -> str:
    return files("poller.examples").joinpath(f"{name}.json").read_text("utf-8")


def example(name: str) -> Fields:
    """A realistic record of a resource (or of ``organizations`` or ``accounts``), new at each call."""
    record: Fields = json.loads(_example_text(name))
    return record
