"""Contextual AI as documented: datastores, documents that are read later, agents; lists have pages."""

import json
from datetime import UTC, datetime
from itertools import count

from systems.server import (
    StrictServer,
    Upload,
    Wrong,
    no_body,
    ok,
    one_of,
    optional,
    required,
    take_json,
    take_multipart,
    take_query,
)

API_KEY = "key-contextual-5533"
ENDINGS = (".pdf", ".html", ".htm", ".mhtml", ".doc", ".docx", ".ppt", ".pptx")
STATUSES = ("pending", "processing", "retrying", "completed", "failed", "cancelled")


def _metadata_complaint(metadata):
    if len(metadata) > 15:
        return "has more than 15 fields"
    if len(json.dumps(metadata)) > 2048:
        return "is larger than 2 KB"
    if not all(isinstance(value, str | bool | int | float) for value in metadata.values()):
        return "is not flat"
    return None


class ContextualAI(StrictServer):
    """``page`` is how many items a page of a list has. Documents move on by ``ingest``."""

    base_path = "/v1"

    def __init__(self, page=2):
        super().__init__()
        self.page = page
        self.datastores, self.documents, self.agents = {}, {}, {}
        self.uploads = {}
        self._numbers = count(1)

    def ingest(self, status="completed"):
        """Let all documents that wait come to an end."""
        for document in self.documents.values():
            if document["status"] == "pending":
                document["status"] = status

    def authorize(self, call):
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            raise Wrong(401, "Invalid API key")

    def refused(self, wrong):
        if wrong.status == 422:
            return ok({"detail": [{"loc": ["body", wrong.more.get("field")], "msg": str(wrong), "type": "value"}]}, 422)
        return ok({"message": str(wrong)}, wrong.status)

    def _id(self):
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"

    def _now(self):
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _datastore(self, datastore):
        if datastore not in self.datastores:
            raise Wrong(404, "datastore not found")
        return self.datastores[datastore]

    def _document(self, datastore, document):
        self._datastore(datastore)
        found = self.documents.get(document)
        if found is None or found["datastore_id"] != datastore:
            raise Wrong(404, "document not found")
        return found

    def _agent(self, agent):
        if agent not in self.agents:
            raise Wrong(404, "agent not found")
        return self.agents[agent]

    def _listed(self, name, items, said, limit_of=100):
        limit = said.get("limit", str(limit_of))
        if not limit.isdigit() or not 1 <= int(limit) <= 1000:
            raise Wrong(422, "limit is not 1 to 1000", field="limit")
        start, size = int(said.get("cursor", "0")), min(int(limit), self.page)
        more = {"next_cursor": str(start + size)} if start + size < len(items) else {}
        return ok({name: items[start : start + size], "total_count": len(items), **more})

    def create_datastore(self, call):
        said = take_json(call, {"name": required(), "configuration": optional(dict)})
        made = self._id()
        self.datastores[made] = {
            "id": made,
            "name": said["name"],
            "created_at": self._now(),
            "datastore_type": "UNSTRUCTURED",
            "configuration": said.get("configuration"),
        }
        return ok({"id": made})

    def list_datastores(self, call):
        no_body(call)
        said = take_query(call, ("agent_id", "limit", "cursor"))
        used = self._agent(said["agent_id"])["datastore_ids"] if "agent_id" in said else list(self.datastores)
        return self._listed("datastores", [self.datastores[one] for one in used], said)

    def datastore_metadata(self, call, datastore):
        no_body(call)
        found = self._datastore(datastore)
        agents = [agent["id"] for agent in self.agents.values() if datastore in agent["datastore_ids"]]
        shown = {key: value for key, value in found.items() if key != "id"}
        return ok({**shown, "agent_ids": agents, "datastore_usages": {"size_gb": 0.1}})

    def reset_datastore(self, call, datastore):
        no_body(call)
        self._datastore(datastore)
        self.documents = {key: one for key, one in self.documents.items() if one["datastore_id"] != datastore}
        return ok({})

    def delete_datastore(self, call, datastore):
        no_body(call)
        self._datastore(datastore)
        if any(datastore in agent["datastore_ids"] for agent in self.agents.values()):
            raise Wrong(400, "an active agent uses this datastore")
        del self.datastores[datastore]
        return ok({})

    def list_documents(self, call, datastore):
        no_body(call)
        self._datastore(datastore)
        names = ("limit", "cursor", "ingestion_job_status*", "uploaded_after", "uploaded_before")
        said = take_query(call, (*names, "document_name_prefix"))
        for status in said.get("ingestion_job_status", []):
            if complaint := one_of(*STATUSES)(status):
                raise Wrong(422, f"ingestion_job_status {complaint}", field="ingestion_job_status")
        after = self._time(said, "uploaded_after", "0001-01-01T00:00:00Z")
        before = self._time(said, "uploaded_before", "9999-12-31T00:00:00Z")
        found = [
            {key: value for key, value in one.items() if key != "datastore_id"}
            for one in self.documents.values()
            if one["datastore_id"] == datastore
            and one["name"].startswith(said.get("document_name_prefix", ""))
            and one["status"] in said.get("ingestion_job_status", STATUSES)
            and after <= datetime.fromisoformat(one["created_at"]) <= before
        ]
        return self._listed("documents", found, said, 1000)

    def _time(self, said, name, otherwise):
        try:
            return datetime.fromisoformat(said.get(name, otherwise))
        except ValueError:
            raise Wrong(422, f"{name} is no time", field=name) from None

    def ingest_document(self, call, datastore):
        self._datastore(datastore)
        said = take_multipart(call, {"file": required(Upload), "metadata": optional(), "configuration": optional()})
        upload = said["file"]
        if not upload.filename.lower().endswith(ENDINGS):
            raise Wrong(422, f"a file of this type cannot be ingested: {upload.filename}", field="file")
        metadata = {}
        try:
            if "metadata" in said:
                found = json.loads(said["metadata"])
                if set(found) != {"custom_metadata"}:
                    raise Wrong(422, "metadata has unknown fields", field="metadata")
                metadata = found["custom_metadata"]
            json.loads(said.get("configuration", "{}"))
        except ValueError:
            raise Wrong(422, "is no JSON text", field="metadata") from None
        if complaint := _metadata_complaint(metadata):
            raise Wrong(422, f"custom_metadata {complaint}", field="metadata")
        made = self._id()
        self.documents[made] = {
            "id": made,
            "name": upload.filename,
            "status": "pending",
            "created_at": self._now(),
            "updated_at": self._now(),
            "custom_metadata": metadata,
            "datastore_id": datastore,
        }
        self.uploads[made] = upload
        return ok({"id": made}, 201)

    def document_metadata(self, call, datastore, document):
        no_body(call)
        found = self._document(datastore, document)
        return ok({key: value for key, value in found.items() if key != "datastore_id"})

    def set_metadata(self, call, datastore, document):
        found = self._document(datastore, document)
        fields = {
            "custom_metadata": optional(dict, check=_metadata_complaint),
            "custom_metadata_config": optional(dict),
        }
        found.update(take_json(call, fields))
        return ok({key: value for key, value in found.items() if key != "datastore_id"})

    def delete_document(self, call, datastore, document):
        no_body(call)
        self._document(datastore, document)
        del self.documents[document]
        return ok({})

    def list_agents(self, call):
        no_body(call)
        said = take_query(call, ("limit", "cursor"))
        shown = [{key: one[key] for key in ("id", "name", "description")} for one in self.agents.values()]
        return self._listed("agents", shown, said)

    def create_agent(self, call):
        prompts = ("description", "system_prompt", "filter_prompt", "multiturn_system_prompt", "template_name")
        said = take_json(
            call,
            {
                "name": required(),
                "datastore_ids": optional(list),
                "suggested_queries": optional(list),
                "agent_configs": optional(dict),
                "no_retrieval_system_prompt": optional(),
                **dict.fromkeys(prompts, optional()),
            },
        )
        datastores = said.get("datastore_ids")
        if datastores is None:
            made = self._id()
            self.datastores[made] = {"id": made, "name": said["name"], "created_at": self._now()}
            datastores = [made]
        for datastore in datastores:
            self._datastore(datastore)
        agent = self._id()
        self.agents[agent] = {"description": "", **said, "id": agent, "datastore_ids": datastores}
        return ok({"id": agent, "datastore_ids": datastores})

    def reset_agent(self, call, agent):
        no_body(call)
        found = self._agent(agent)
        self.agents[agent] = {key: found[key] for key in ("id", "name", "description", "datastore_ids")}
        return ok({})

    def delete_agent(self, call, agent):
        no_body(call)
        self._agent(agent)
        del self.agents[agent]
        return ok({})

    def agent_metadata(self, call, agent):
        no_body(call)
        found = self._agent(agent)
        shown = {key: value for key, value in found.items() if key != "id"}
        return ok({"template_name": "default", **shown, "agent_usages": {"eval": 0, "query": 3, "tune": 0}})

    routes = (
        ("POST", "/datastores", create_datastore),
        ("GET", "/datastores", list_datastores),
        ("GET", "/datastores/{datastore}/metadata", datastore_metadata),
        ("PUT", "/datastores/{datastore}/reset", reset_datastore),
        ("DELETE", "/datastores/{datastore}", delete_datastore),
        ("GET", "/datastores/{datastore}/documents", list_documents),
        ("POST", "/datastores/{datastore}/documents", ingest_document),
        ("GET", "/datastores/{datastore}/documents/{document}/metadata", document_metadata),
        ("PUT", "/datastores/{datastore}/documents/{document}/metadata", set_metadata),
        ("DELETE", "/datastores/{datastore}/documents/{document}", delete_document),
        ("GET", "/agents", list_agents),
        ("POST", "/agents", create_agent),
        ("PUT", "/agents/{agent}/reset", reset_agent),
        ("DELETE", "/agents/{agent}", delete_agent),
        ("GET", "/agents/{agent}/metadata", agent_metadata),
    )
