"""A pattern of triggers, as commands take it."""

from fnmatch import fnmatchcase
from typing import Any

import click


class TriggerPattern(click.ParamType[str]):
    """A trigger, or a pattern such as ``client.*`` or "New Client"; one that no trigger matches is a mistake."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """The pattern, in the names of triggers."""
        from poller.triggers import EVERY, pattern, trigger_named  # noqa: PLC0415 - only where one is named

        wanted = trigger_named(str(value))
        if not any(fnmatchcase(trigger, wanted) for trigger in EVERY):
            try:
                pattern(wanted)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return wanted
