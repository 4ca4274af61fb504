"""Asking for a page on condition that it changed (``If-None-Match``), as long as the server goes along with it."""

from collections.abc import Mapping

from poller.model import Tagged

MISSES = 20
"""After so many conditions in a row that a server did not answer with 304, no more are made: it ignores them, or its
tags are not of what it shows. For what is asked for on condition is the same, as far as increments can tell."""
TAG_CHARACTERS = 200


class Conditions:
    """What is known of one server, by all threads; a restart begins anew."""

    def __init__(self) -> None:
        self._misses = 0

    def offer(self, page: Tagged | None) -> Tagged | None:
        """The page, if it is worth while to ask for it on condition."""
        return page if self._misses < MISSES else None

    def learn(self, *, same: bool) -> None:
        """Keep in mind how a condition was answered."""
        self._misses = 0 if same else self._misses + 1

    def tag(self, headers: Mapping[str, str]) -> str:
        """The tag of an answer, if it can be sent back and is worth it; else nothing."""
        tag = headers.get("etag", "")
        fit = tag.isascii() and tag.isprintable() and len(tag) <= TAG_CHARACTERS
        return tag if fit and self._misses < MISSES else ""
