"""Where a host keeps its things: the layout of a home directory.

Knows paths and makes folders; opens no store, binds no socket.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sojourn.runtime.errors import HostUnable

SOCKET_PATH_LIMIT = 107
"""Bytes that the path of a unix socket may have (``sun_path`` less its end)."""

DEFAULT_HOME = "~/.sojourn"

_HINTS = {
    errno.EROFS: "mount its file system for writing",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
}
"""What to do about a home that can't be written."""


class Home:
    """Paths below one home directory.

    Args:
        root: the directory; made absolute.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser().absolute()
        self.run = self.root / "run"
        self.client_socket = self.run / "client.sock"
        self.actors_socket = self.run / "actors.sock"
        self.store = self.root / "store.db"
        self.blobs = self.root / "blobs"
        self.pages = self.root / "pages"
        self.reserved = self.root / "reserved"
        self.keys = self.root / "keys"
        self.supervisor_lock = self.root / "supervisor.lock"
        self.alive_lock = self.root / "alive.lock"
        self.logs = self.root / "log"
        self.log_file = self.logs / "supervisor.jsonl"

    @classmethod
    def choose(cls, named: str | None) -> Home:
        """Take the home that was named, else ``SOJOURN_HOME``, else ``~/.sojourn``."""
        return cls(named or os.environ.get("SOJOURN_HOME") or DEFAULT_HOME)

    def create(self) -> None:
        """Make the directory and its folders, readable by their owner only.

        Raises:
            HostUnable: if they can't be made, or a socket's path would be too long.
        """
        if len(os.fsencode(self.client_socket)) > SOCKET_PATH_LIMIT:
            raise HostUnable(
                f"the home {self.root} is too deep for a unix socket "
                f"(at most {SOCKET_PATH_LIMIT} bytes): choose a shorter one with --home"
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.blobs, self.pages, self.reserved, self.keys, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise self.unwritable(error) from error

    def unwritable(self, error: OSError) -> HostUnable:
        """Say that the home can't be written, and what to do about it."""
        hint = _HINTS.get(error.errno or 0, "give yourself the right to write there")
        return HostUnable(
            f"the home {self.root} can't be written ({error.strerror}): {hint}, or choose another one with "
            "--home"
        )
