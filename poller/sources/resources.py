"""What there is in Space Invoices to follow: a row each, and the names of its triggers elsewhere."""

from collections.abc import Mapping

from poller.model import Kind, Resource

SOURCE = "spaceinvoices"
"""The name of the source, in events and in the state."""

_ROWS = (
    Resource("clients", "client", "Client", "clients"),
    Resource(
        "documents",
        "document",
        "Document",
        "documents",
        ignore=frozenset({"pdf"}),  # derived when the API answers
        # texts in which smart codes are filled in when the API answers
        rendered=frozenset({"note", "footer", "signature", "taxClause"}),
    ),
    Resource("items", "item", "Item", "items"),
    Resource("payments", "payment", "Payment", "payments"),
    Resource("recurrences", "recurrence", "Recurrence", "recurrences"),
    Resource("taxes", "tax", "Tax", "taxes"),
    Resource("units", "unit", "Unit", "units"),
    Resource("categories", "category", "Category", "categories"),
    Resource("prices", "price", "Price", "prices", parent="price_lists"),
    Resource("orders", "order", "Order", "orders"),
    Resource("price_lists", "price_list", "Price List", "priceLists", opt_in=True),
)

RESOURCES: Mapping[str, Resource] = {row.name: row for row in _ROWS}
"""All that can be followed. A new resource is a new row."""

_CONNECTOR_NAMES = {Kind.CREATED: "New {}", Kind.UPDATED: "{} Updated", Kind.DELETED: "{} Deleted"}


def connector_name(row: Resource, kind: Kind) -> str:
    """What connector platforms call a trigger: "New Client", and, as they have it, "Recurrence Update"."""
    if (row.name, kind) == ("recurrences", Kind.UPDATED):
        return "Recurrence Update"
    return _CONNECTOR_NAMES[kind].format(row.title)
