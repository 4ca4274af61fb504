"""The configuration as a JSON Schema, for editors: the tables' own, joined where the code joins them."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from poller.actions.tables import SystemTable
from poller.config import Config
from poller.secret import Secret
from poller.settings import duration, size
from poller.sinks import kinds
from poller.sources.resources import RESOURCES
from poller.triggers import TRIGGERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema. What only the whole configuration can tell, such as whether a sink is there, it does not."""
    tables: list[type[BaseModel]] = [Config, Secret, SystemTable, *kinds().values()]
    places, found = models_json_schema([(table, "validation") for table in tables])
    definitions = {name: _clean(inner) for name, inner in found["$defs"].items()}
    refs = {table: place["$ref"] for (table, _), place in places.items()}
    root: dict[str, Any] = definitions.pop(refs[Config].rpartition("/")[2])
    keys = root["properties"]
    keys["resources"]["propertyNames"] = {"enum": list(RESOURCES)}
    keys["sinks"]["additionalProperties"] = {"oneOf": [{"$ref": refs[kind]} for kind in kinds().values()]}
    for kind in kinds().values():
        table = definitions[refs[kind].rpartition("/")[2]]
        table["required"] = sorted({"kind", *table.get("required", ())})
    keys["systems"]["additionalProperties"] = {"$ref": refs[SystemTable]}
    # What else a connection takes is for its system to say: texts and secrets.
    definitions["ConnectionTable"]["additionalProperties"] = {"anyOf": [{"type": "string"}, {"$ref": refs[Secret]}]}
    definitions["RouteTable"]["properties"]["on"]["items"]["examples"] = ["*", "client.*", "*.deleted", *TRIGGERS]
    root["required"] = []
    return {"$schema": DIALECT, "title": "The configuration of poller"} | root | {"$defs": definitions}


def _clean(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Without what TOML has no word for (null), and without titles that only repeat the key."""
    if isinstance(node, list):
        return [_clean(inner) for inner in node]
    if not isinstance(node, Mapping):
        return node
    made = {key: _clean(inner) for key, inner in node.items() if key != "title" or not isinstance(inner, str)}
    if "anyOf" in made:
        others = [one for one in made.pop("anyOf") if one != {"type": "null"}]
        made |= others[0] if len(others) == 1 else {"anyOf": others}
    if made.get("default", ...) is None or isinstance(made.get("default"), dict):
        del made["default"]
    if isinstance(made.get("description"), str):
        made["description"] = made["description"].replace("``", "`")
    return _written(made)


_WRITTEN: Mapping[str, Callable[[Any], str]] = {"a span of time": duration, "a size with": size}


def _written(made: dict[str, Any]) -> dict[str, Any]:
    """A default in the form in which it is written, not in that in which it is kept."""
    if isinstance(made.get("default"), int | float) and made.get("type") == "string":
        for words, write in _WRITTEN.items():
            if str(made.get("description", "")).lower().startswith(words):
                made["default"] = write(made["default"])
    return made
