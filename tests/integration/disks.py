"""Real disks for tests, made by root: small ones that get full, and ones that fail under who writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from tests.waiting import wait_until

CHUNK = 64 * 1024


def unavailable() -> str | None:
    """Say why this machine mounts nothing for tests; None if it does."""
    if os.geteuid() != 0:
        return "mounting file systems needs root"
    if shutil.which("mkfs.ext4") is None:
        return "file systems are made by mkfs.ext4: install the package e2fsprogs"
    return None


class MakeDisk(Protocol):
    """Puts a file system of some megabytes under a host that is not up yet; unmounted at the test's end."""

    def __call__(self, folder: Path, megabytes: int, *, kind: str = "tmpfs") -> Disk: ...


class Disk:
    """A file system of its own, mounted on a folder.

    Args:
        folder: where; made if it isn't there.
        megabytes: its size.
        kind: ``tmpfs`` or ``ext4`` (in a file beside the folder).
    """

    def __init__(self, folder: Path, megabytes: int, kind: str) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir(exist_ok=True)
        if kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
            return
        image = folder.with_name(f"{folder.name}.img")
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))

    @property
    def free(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Write until no more than some bytes are left."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while self.free > leave:
                file.write(bytes(min(CHUNK, self.free - leave)))

    def make_room(self) -> None:
        """Take back what ``fill`` wrote."""
        self._filler.unlink()

    def forbid_writing(self) -> None:
        """Make it read-only under who has files open, as ext4 does by itself after an I/O error."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def remount(self, mode: str) -> None:
        """Mount it ``ro`` or ``rw``; nobody may have a file open for writing."""
        _run("mount", "-o", f"remount,{mode}", str(self.folder))

    def check(self) -> None:
        """Take it off, look it through, and put it back: it can be written again."""
        image = self.folder.with_name(f"{self.folder.name}.img")
        self.close()
        subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)
        _run("mount", "-o", "loop", str(image), str(self.folder))

    def close(self) -> None:
        """Take it off, once nobody uses it any more."""
        wait_until(lambda: _succeeds("umount", str(self.folder)), 15.0, f"{self.folder} to be free")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def flip_bit(path: Path, at: int) -> None:
    """Let a bit of a file change by itself, as disks do.

    Args:
        path: the file.
        at: which byte.
    """
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
