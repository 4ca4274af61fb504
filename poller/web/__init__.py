"""The daemon's HTTP endpoint: probes, metrics, its state as JSON, and a page that shows it.

It is off unless ``[http] listen`` is set. Others see ``Endpoint``, what it is told through (``Inside``), and what
``Inside.status`` usually is (``Status``).
"""

from poller.web.inside import Answered, Asked, Inside
from poller.web.server import Endpoint
from poller.web.status import Status

__all__ = ["Answered", "Asked", "Endpoint", "Inside", "Status"]
