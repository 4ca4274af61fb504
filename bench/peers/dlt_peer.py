"""dlt's REST source into DuckDB: ``python dlt_peer.py scd2|merge FOLDER`` loads, with ``show`` it prints what is there.

``scd2`` lists everything each time and closes the rows of what is gone or changed; ``merge`` asks for what was saved
since, tombstones included, and takes the records of these away. It pages by key, as poller does, leaves nested
values as they are, and loads Parquet files: all three cost least.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
import duckdb
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source
from requests import Request, Response

PAGE = {"limit": 100}
EVERYTHING_SINCE = "1970-01-01T00:00:00.000Z"


class Keyset(BasePaginator):
    """Pages that follow each other by id, or by time and id where there is a time to begin at."""

    def __init__(self) -> None:
        super().__init__()
        self._since = ""
        self._last: dict[str, Any] = {}

    def init_request(self, request: Request) -> None:
        """Begin a listing anew."""
        self._since, self._last = request.params.pop("since", ""), {}
        self.update_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: ARG002 - dlt's
        """An empty page ends the listing."""
        self._has_next_page = bool(data)
        self._last = data[-1] if data else {}

    def update_request(self, request: Request) -> None:
        """Ask for the next page."""
        asked = self._changes() if self._since else self._by_id()
        request.params["filter"] = json.dumps(asked | PAGE)

    def _by_id(self) -> dict[str, Any]:
        where = {"where": {"id": {"gt": self._last["id"]}}} if self._last else {}
        return where | {"order": ["id ASC"]}

    def _changes(self) -> dict[str, Any]:
        where: dict[str, Any] = {"updatedAt": {"gte": self._since}}
        if self._last:
            stamp = self._last["updatedAt"]
            ties = {"and": [{"updatedAt": stamp}, {"id": {"gt": self._last["id"]}}]}
            where = {"or": [{"updatedAt": {"gt": stamp}}, ties]}
        return {"where": where, "order": ["updatedAt ASC", "id ASC"], "deleted": True}


SCD2: dict[str, Any] = {"write_disposition": {"disposition": "merge", "strategy": "scd2"}}
MERGE: dict[str, Any] = {
    "write_disposition": "merge",
    "primary_key": "id",
    "columns": {"_isDeleted": {"data_type": "bool", "hard_delete": True}},
}
INCREMENTAL = {"cursor_path": "updatedAt", "start_param": "since", "initial_value": EVERYTHING_SINCE}


def _load(mode: str, folder: Path) -> None:
    upstream = json.loads(os.environ["UPSTREAM"])
    endpoint: dict[str, Any] = {"path": f"Organizations/{upstream['org']}/clients", "paginator": Keyset()}
    if mode == "merge":
        endpoint["incremental"] = INCREMENTAL
    source = rest_api_source(
        {
            "client": {"base_url": f"{upstream['url']}/", "headers": {"Authorization": upstream["token"]}},
            "resources": [{"name": "clients", "endpoint": endpoint, **(SCD2 if mode == "scd2" else MERGE)}],
        },
        max_table_nesting=0,
    )
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "loaded.duckdb")),
        dataset_name="peer",
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


def _show(mode: str, folder: Path) -> None:
    """Print every record that counts as there: its id and its note."""
    there = "WHERE _dlt_valid_to IS NULL" if mode == "scd2" else ""
    with duckdb.connect(str(folder / "loaded.duckdb"), read_only=True) as database:
        rows = database.execute(f"SELECT id, note FROM peer.clients {there}").fetchall()
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    (_show if sys.argv[3:] == ["show"] else _load)(sys.argv[1], Path(sys.argv[2]))
