"""Events as lines at the end of a file, on disk before they count as delivered. Rotation is noticed."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from poller.model import Delivered, Delivery, Later, Outcome
from poller.settings import FilePath, SettingError
from poller.sinks import SinkConfig


class Config(SinkConfig):
    """A sink of kind ``file``: JSON lines are appended to ``path``, which is made (mode 0600) if missing."""

    kind: Literal["file"]
    path: FilePath

    def sink(self) -> "File":
        """Open the file; raises ``SettingError`` where that cannot be done."""
        if not self.path.parent.is_dir():
            raise SettingError(f"the folder {self.path.parent} does not exist; run: mkdir -p {self.path.parent}")
        sink = File(self.path)
        try:
            sink.open()
        except OSError as error:
            raise SettingError(f"{self.path} cannot be written: {error.strerror}") from error
        return sink


class File:
    """Appends batches to the file at a path, whichever file that is by then."""

    concurrency = 1
    batch_size = 100
    batch_wait_s = 0.0
    careful = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Write and sync the batch; what is not wholly on disk is for later."""
        try:
            whole = self._append([delivery.body + b"\n" for delivery in batch])
        except OSError as error:
            self.close()
            return [Later(f"{self._path} cannot be written: {error.strerror}")] * len(batch)
        rest = len(batch) - whole
        return [Delivered()] * whole + [Later(f"{self._path} took a part only; is the disk full?")] * rest

    def open(self) -> int:
        """Give the file that is at the path now, open; raises ``OSError``."""
        if self._descriptor is not None and _same(self._descriptor, self._path):
            return self._descriptor
        self.close()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise OSError(0, "it is not a regular file")
        _sync_folder(self._path.parent)
        return self._descriptor

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, lines: Sequence[bytes]) -> int:
        """Write the lines at once; give how many of them are wholly on disk."""
        descriptor = self.open()
        start = b"" if _ends_line(descriptor) else b"\n"  # a crash, or a full disk, left half a line
        written = os.write(descriptor, start + b"".join(lines))
        os.fsync(descriptor)
        return sum(end <= written for end in _ends(len(start), lines))


def _ends(start: int, lines: Sequence[bytes]) -> Iterator[int]:
    for line in lines:
        start += len(line)
        yield start


def _ends_line(descriptor: int) -> bool:
    size_bytes = os.fstat(descriptor).st_size
    return size_bytes == 0 or os.pread(descriptor, 1, size_bytes - 1) == b"\n"


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
