"""File systems as the kernel lists them, and which of them are on a network. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "9p", "beegfs")
)
_REMOTE_FUSE = re.compile(
    r"fuse\.(sshfs|glusterfs|s3fs|rclone|gcsfuse|goofys|mount-s3|davfs|curlftpfs|nfs|ceph|ceph-fuse|juicefs)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system: where, and of which type."""

    point: str
    type: str

    @property
    def remote(self) -> bool:
        """Whether it is a network's, where SQLite's locks are not to be relied on; an unknown type is not."""
        return self.type in _NETWORK or _REMOTE_FUSE.fullmatch(self.type) is not None


def mounts(mountinfo: str) -> list[Mount]:
    """Read ``/proc/self/mountinfo``; see proc(5)."""
    found = []
    for line in mountinfo.splitlines():
        fields, _, more = line.partition(" - ")
        parts, types = fields.split(), more.split()
        if len(parts) > 4 and types:
            found.append(Mount(_OCTAL.sub(lambda sign: chr(int(sign[1], 8)), parts[4]), types[0]))
    return found


def mount_of(path: str, known: Iterable[Mount]) -> Mount | None:
    """The mount that a resolved path lies on: the deepest, and of those at one point the last."""
    best: Mount | None = None
    for mount in known:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best
