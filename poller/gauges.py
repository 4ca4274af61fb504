"""What is read at a scrape, as a table: how everything stands, beside what the meter counted."""

from collections.abc import Mapping

from poller.breaker import STATES as SINK_STATES
from poller.meter import Row
from poller.stores.figures import STREAM_STATES

_RESOURCE: Mapping[str, None] = {"resource": None}
_SINK: Mapping[str, None] = {"sink": None}

BOUNDS = ("shortest", "longest")

GAUGES: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row("build_info", "Versions; always 1.", {"version": None, "python": None, "sqlite": None}),
        Row(
            "config_last_reload_successful",
            "Whether the last reload of the configuration was a success; 1 before the first.",
            {},
        ),
        Row("config_last_reload_timestamp_seconds", "When the configuration was reloaded last, a success or not.", {}),
        Row(
            "last_lookup_successful",
            "Whether the last look-up of the organizations was a success; 1 before the first.",
            {},
        ),
        Row(
            "polls_paused",
            "Whether no stream is polled, since the outbox or the disk is full or nothing can be kept.",
            {},
        ),
        Row("streams", "Streams by state.", {"resource": None, "state": STREAM_STATES}),
        Row("streams_silent", "Streams that have not changed for much longer than they ever do.", _RESOURCE),
        Row(
            "request_rate",
            "Requests a second that the key may make now: what refusals (429) have left of the limit.",
            {},
        ),
        Row("request_rate_limit", "Requests a second that the key may make, as configured.", {}),
        Row("request_budget", "Requests a second that all polls share; none without a budget.", {}),
        Row(
            "stream_interval_seconds",
            "How often each stream is polled, as configured; under a budget, the longest that it may wait.",
            _RESOURCE,
        ),
        Row(
            "stream_planned_interval_seconds",
            "Under a budget: the shortest and the longest interval that streams are polled at just now.",
            {"resource": None, "bound": BOUNDS},
        ),
        Row(
            "stream_oldest_poll_timestamp_seconds",
            "The last good poll of the stream whose last good poll is oldest.",
            _RESOURCE,
        ),
        Row(
            "stream_overdue_seconds",
            "How long the stream that waits longest for a poll that is due has waited.",
            _RESOURCE,
        ),
        Row("records", "Live records.", _RESOURCE),
        Row(
            "records_missing",
            "Records that listings do not show any more, and that are not known to be deleted.",
            _RESOURCE,
        ),
        Row("deletions_held", "Missing records that wait for an operator's approval.", _RESOURCE),
        Row("quarantine_records", "Records that cannot be followed.", _RESOURCE),
        Row("sink_pending_deliveries", "Deliveries still to be made, later ones included.", _SINK),
        Row(
            "sink_backlog_age_seconds",
            "How long the oldest delivery waits that should have been made; 0 if none does.",
            _SINK,
        ),
        Row(
            "sink_parked_deliveries",
            "Deliveries given up; without a sink, those of events that nobody knows where to send.",
            _SINK,
        ),
        Row("sink_state", "1 for the state that a sink is in.", {"sink": None, "state": SINK_STATES}),
        Row("sink_last_delivery_timestamp_seconds", "When the receiver took something last.", _SINK),
        Row(
            "route_held_deliveries",
            "Deliveries above a route's flood that wait for an operator's approval.",
            {"route": None},
        ),
        Row(
            "state_readable",
            "Whether the state could be read for this scrape; if not, all that it tells is left out.",
            {},
        ),
        Row("database_bytes", "Size of the database's file.", {}),
        Row("database_used_bytes", "Bytes in use in the database, its log included.", {}),
        Row("database_log_bytes", "Size of the log that is not yet folded in.", {}),
        Row("disk_free_bytes", "Room left on the disk of the state.", {}),
        Row("disk_size_bytes", "Size of the disk of the state.", {}),
    )
}
"""All that is read at a scrape, by name, each with ``poller_`` before it."""

BY_ORGANIZATION = frozenset(
    {"stream_oldest_poll_timestamp_seconds", "stream_overdue_seconds", "records", "records_missing", "deletions_held"}
)
"""Those that have a label ``organization`` too where that is asked for."""
