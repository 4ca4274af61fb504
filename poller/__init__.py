"""poller: follows the Space Invoices API and tells every change as an event."""

__version__ = "0.1.0"
