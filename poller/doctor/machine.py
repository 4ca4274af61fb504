"""What the machine's own figures mean for a poller on it. Pure."""

from collections.abc import Sequence

from poller.doctor import Told, Verdict
from poller.mounts import Mount

FIXED_SQLITE = (3, 51, 3)
"""Before it, two connections that write and checkpoint at one moment can damage a WAL database (the WAL-reset bug)."""

_FLEETING = {"tmpfs", "ramfs"}
_NEED_FILES = 64
_NEED_BYTES = 96 << 20


def file_system(mount: Mount | None, *, insisted: bool = False) -> Told:
    """Judge the file system of the state: SQLite's locks and its log need a local one.

    ``insisted``: the configuration says that a network's is to be used all the same.
    """
    if mount is None:
        return Told(Verdict.NOTE, "not to be told here")
    seen = f"{mount.type} at {mount.point}"
    if mount.remote:
        return Told(Verdict.WARN if insisted else Verdict.FAIL, f"{seen}, a network file system")
    if mount.type.startswith("fuse") or mount.type in _FLEETING or mount.type == "overlay":
        return Told(Verdict.WARN, seen)
    return Told(Verdict.OK, seen)


def sqlite(version: Sequence[int]) -> Told:
    """Judge the SQLite that Python is linked with."""
    told = ".".join(map(str, version))
    return Told(Verdict.OK if tuple(version) >= FIXED_SQLITE else Verdict.NOTE, told)


def open_files(limit: int, senders: int) -> Told:
    """Judge the limit of open files for so many concurrent sends."""
    need = _NEED_FILES + 2 * senders
    told = f"{limit} (needed: {need})"
    return Told(Verdict.OK if limit >= 2 * need else Verdict.WARN if limit >= need else Verdict.FAIL, told)


def memory(free_bytes: int | None) -> Told:
    """Judge what memory there is."""
    if free_bytes is None:
        return Told(Verdict.NOTE, "not to be told here")
    told = f"{free_bytes / (1 << 20):.0f} MiB"
    return Told(Verdict.OK if free_bytes >= _NEED_BYTES else Verdict.WARN, told)


def disk(free_bytes: int, reasons: Sequence[str]) -> Told:
    """Judge the room for the state; ``reasons`` are why polls would pause."""
    if reasons:
        return Told(Verdict.FAIL, "; ".join(reasons))
    return Told(Verdict.OK, f"{free_bytes / (1 << 30):.1f} GiB free")


def python(version: Sequence[int], lowest: Sequence[int] = (3, 11)) -> Told:
    """Judge the Python that runs."""
    told = ".".join(map(str, version[:3]))
    return Told(Verdict.OK if tuple(version[:2]) >= tuple(lowest) else Verdict.FAIL, told)


def addresses(refusals: Sequence[str | None]) -> Told:
    """Judge what a receiver's name stands for: one reason for each address that may not be connected to, else None."""
    if not refusals:
        return Told(Verdict.FAIL, "the name has no address")
    refused = [why for why in refusals if why]
    if len(refused) == len(refusals):
        return Told(Verdict.FAIL, refused[0])
    if refused:
        return Told(Verdict.WARN, f"{len(refused)} of {len(refusals)} addresses are refused: {refused[0]}")
    return Told(Verdict.OK, f"{len(refusals)} addresses" if len(refusals) > 1 else "1 address")
