"""``python -m poller`` is ``poller``."""

from poller.cli import main

main()
