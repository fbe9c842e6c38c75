"""What handlers print: ``sys.stdout`` and ``sys.stderr`` of an actor process, line by line."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable

LONGEST_LINE = 8192
"""Characters of a line that are kept."""

LINES_PER_TURN = 1000


class LineWriter(io.TextIOBase):
    """A text stream that hands on whole lines, each with its turn.

    What can't be handed on (there is no turn, or this is a process that the handler forked) goes to
    the descriptor instead, which the supervisor drains.

    Args:
        stream: ``stdout`` or ``stderr``.
        descriptor: of the pipe.
        take: gets (stream, line); False if it has no use for it.
    """

    encoding = "utf-8"

    def __init__(self, stream: str, descriptor: int, take: Callable[[str, str], bool]) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = descriptor
        self._take = take
        self.rest = ""
        """A line that isn't at its end."""
        # Reentrant, since a signal handler or a finaliser may print in the middle; and never held
        # while lines are handed on, which takes other locks.
        self._lock = threading.RLock()
        self.buffer = io.FileIO(descriptor, "wb", closefd=False)
        """For those who write bytes; they come unsorted among the lines."""

    def fileno(self) -> int:
        """The descriptor, for programs that the handler starts."""
        return self._descriptor

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str, /) -> int:
        """Take text; whole lines go on at once."""
        with self._lock:
            *lines, rest = text.split("\n")
            if lines:
                lines[0] = self.rest + lines[0]
                self.rest = rest
            else:
                self.rest += rest
            self.rest = self.rest[: LONGEST_LINE + 1]
        for line in lines:
            self._hand_on(line)
        return len(text)

    def end_turn(self) -> None:
        """Hand on an unfinished line, so that it stays with its turn."""
        with self._lock:
            rest, self.rest = self.rest, ""
        if rest:
            self._hand_on(rest)

    def _hand_on(self, line: str) -> None:
        line = cut(line)
        if not self._take(self._stream, line):
            os.write(self._descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))


def cut(line: str) -> str:
    """Bound a line, and show that it was longer."""
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…"


def flush_streams() -> None:
    """Write out what the interpreter's own streams hold back."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()


def plain_streams() -> None:
    """Let print write to the descriptors again."""
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
