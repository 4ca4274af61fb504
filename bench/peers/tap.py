"""A Singer tap for the clients of one organization, by Meltano's SDK: what was saved since it last ran."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from requests import Response
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator

TEXTS = (
    *("contact", "note", "type", "name", "address", "address2", "city", "zip", "country", "countryAlpha2Code"),
    *("taxNumber", "companyNumber", "IBAN", "bank", "SWIFT", "website", "email", "phone", "organizationId", "unitId"),
    "deletedId",
)
EVERYTHING_SINCE = "1970-01-01T00:00:00.000Z"


class Keyset(BaseAPIPaginator[Any]):
    """Pages that follow each other by time and id; an empty one is the last."""

    def __init__(self) -> None:
        super().__init__(None)

    def get_next(self, response: Response) -> tuple[str, str] | None:
        """The time and the id of the last record."""
        rows = response.json()
        return (rows[-1]["updatedAt"], rows[-1]["id"]) if rows else None


class Clients(RESTStream[Any]):
    """The one stream."""

    name = "clients"
    primary_keys = ("id",)
    replication_key = "updatedAt"
    is_sorted = True
    records_jsonpath = "$[*]"
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        *(th.Property(name, th.DateTimeType) for name in ("createdAt", "updatedAt", "deletedAt")),
        *(th.Property(name, th.StringType) for name in TEXTS),
        *(th.Property(name, th.BooleanType) for name in ("_isDeleted", "isEndCustomer", "taxSubject")),
        th.Property("custom", th.ObjectType(additional_properties=True)),
        th.Property("unitIds", th.ArrayType(th.StringType)),
        th.Property("_data", th.ArrayType(th.ObjectType(additional_properties=True))),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """Where the API is."""
        return str(self.config["url"])

    @property
    def path(self) -> str:
        """The listing."""
        return f"/Organizations/{self.config['org']}/clients"

    @property
    def http_headers(self) -> dict[str, str]:
        """The token as it is."""
        return {"Authorization": self.config["token"]}

    def get_new_paginator(self) -> Keyset:
        """One for each listing."""
        return Keyset()

    def get_url_params(
        self, context: Mapping[str, Any] | None, next_page_token: tuple[str, str] | None
    ) -> dict[str, Any]:
        """The filter of the next page."""
        where: dict[str, Any] = {
            "updatedAt": {"gte": self.get_starting_replication_key_value(context) or EVERYTHING_SINCE}
        }
        if next_page_token:
            stamp, after = next_page_token
            ties = {"and": [{"updatedAt": stamp}, {"id": {"gt": after}}]}
            where = {"or": [{"updatedAt": {"gt": stamp}}, ties]}
        order = ["updatedAt ASC", "id ASC"]
        return {"filter": json.dumps({"where": where, "order": order, "limit": 100, "deleted": True})}


class TapClients(Tap):
    """The tap itself."""

    name = "tap-clients"
    config_jsonschema = th.PropertiesList(
        *(th.Property(name, th.StringType, required=True) for name in ("url", "token", "org"))
    ).to_dict()

    def discover_streams(self) -> list[Clients]:
        """The one stream."""
        return [Clients(self)]


if __name__ == "__main__":
    TapClients.cli()
