"""Where the state lies: on which file system, and whether the database is safe there."""

from pathlib import Path

from poller.mounts import Mount, mount_of, mounts
from poller.stores.opening import OpeningError

MOUNTINFO = Path("/proc/self/mountinfo")


class RemoteError(OpeningError):
    """The state lies on a network file system."""

    exit_code = 78


def nearest(folder: Path) -> Path:
    """The folder itself, resolved, or the nearest above it that is there."""
    folder = folder.resolve()
    return next(one for one in (folder, *folder.parents) if one.exists())


def mounted(folder: Path) -> Mount | None:
    """The mount that a folder lies on, or will once it is made; None where that is not to be told."""
    place = str(nearest(folder))  # first: the look mounts what is mounted on demand
    try:
        text = MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return None
    return mount_of(place, mounts(text))


def refuse_remote(database: Path) -> None:
    """Raise ``RemoteError`` where the database is, or would be made, on a network file system.

    Locks do not hold there, whatever it says of them, and a log in shared memory needs one machine: SQLite's own
    documentation warns of it (https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html). What cannot be told
    is let through.
    """
    mount = mounted(database.parent)
    if mount is not None and mount.remote:
        raise RemoteError(
            f"{database} is on {mount.point}, a network file system ({mount.type}): locks do not hold there, and the "
            "state gets damaged; put [state] path on a local disk, or, if that is one, set [state] allow_network = true"
        )
