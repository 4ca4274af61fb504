"""A look-alike of the Space Invoices v1 API on loopback, for the demo, tests, and trying receivers."""
