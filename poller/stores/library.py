"""The SQLite that Python is linked with."""

import sqlite3

VERSION: tuple[int, int, int] = sqlite3.sqlite_version_info
"""Its version."""
