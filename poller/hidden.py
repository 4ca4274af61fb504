"""Texts that must never be shown, in whatever form they turn up: as they are, or as URLs, JSON or Python write them."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 6
"""A shorter text is not looked for: it would be found within other words."""


def pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """What finds all forms of these texts; without any that is long enough, it finds nothing."""
    found = {form for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)}
    longest_first = sorted(found, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def forms(secret: str) -> Iterator[str]:
    """The text, and how others would write it; base64 also where something stands before it, as in Basic."""
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), unquote(secret))
    data = secret.encode()
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(data)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:last]
