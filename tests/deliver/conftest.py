"""A drain whose days pass in no time, or with threads of its own."""

import pytest
from drains import Inline, rig


@pytest.fixture(name="rig")
def _rig(tmp_path):
    """It sends at once, in one thread."""
    with rig(tmp_path, Inline()) as made:
        yield made


@pytest.fixture
def threaded(tmp_path):
    with rig(tmp_path) as made:
        yield made
