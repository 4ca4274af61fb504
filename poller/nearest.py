"""The nearest thing known, for a message about what is not."""

from difflib import get_close_matches


def nearest(word: str, known: list[str]) -> str:
    """The tail of a message about an unknown word: the nearest known one, else all of a few, else nothing."""
    close = get_close_matches(word, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    few = ", ".join(f'"{name}"' for name in known)
    return f"; known are {few}" if 0 < len(known) <= 12 else ""
