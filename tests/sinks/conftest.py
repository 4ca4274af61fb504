"""Webhooks that are made from settings."""

import pytest
from hook import SECRET

from poller.sinks.webhook import Config


@pytest.fixture
def made(monkeypatch):
    """Make sinks that are closed at the end; settings as in a file."""
    sinks = []

    def make(receiver, **options):
        monkeypatch.setenv("HOOK_SECRET", options.pop("reveal", SECRET))
        sinks.append(Config.model_validate({"kind": "webhook", "url": receiver.url} | options).sink())
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()
