"""A look-alike of the Space Invoices v1 API on loopback, for the demo, tests, and trying receivers.

``Account`` holds the records, ``Simulator`` serves them over HTTP, ``faults`` are what can
be scripted to go wrong, ``History`` writes random changes.
"""

from poller.simulator.account import Account
from poller.simulator.history import History
from poller.simulator.script import Script
from poller.simulator.server import Simulator

__all__ = ["Account", "History", "Script", "Simulator"]
