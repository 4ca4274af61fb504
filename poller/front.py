"""The endpoint that ``[http]`` asks for, where it asks for one, through every reload."""

from contextlib import suppress

from poller.listening import HttpTable
from poller.settings import SettingError
from poller.web import Endpoint, Inside


class Front:
    """Shows what is ``inside``, once and as long as a table that it follows says so."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._endpoint: Endpoint | None = None

    def follow(self, table: HttpTable) -> None:
        """Be as this table says. One that says the same, down to the token, disturbs nobody.

        Raises ``SettingError`` where that cannot be; then it is as it was before.
        """
        before = self._endpoint
        if before is not None and before.stands_for(table):
            return
        if before is None or not _in_the_way(before.table, table):
            self._endpoint = self._opened(table)
            if before is not None:
                before.close()
            return
        before.close()  # the new one listens in its place
        try:
            self._endpoint = self._opened(table)
        except SettingError:
            self._endpoint = None
            with suppress(SettingError):  # somebody else was faster
                self._endpoint = self._opened(before.table)
            raise

    def _opened(self, table: HttpTable) -> Endpoint | None:
        return None if table.listen is None else Endpoint(table, self._inside)

    def close(self) -> None:
        """Show nothing any more."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None


def _in_the_way(before: HttpTable, after: HttpTable) -> bool:
    """Whether both cannot be listened on at once: the same port, for one address may stand for all."""
    old, new = before.address, after.address
    return old is not None and new is not None and old.port == new.port
