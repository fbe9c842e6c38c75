"""What handlers print: ``sys.stdout`` and ``sys.stderr`` of an actor process, line by line."""

from __future__ import annotations

import io
from collections.abc import Callable

LONGEST_LINE = 8192
LINES_PER_TURN = 1000


class LineWriter(io.TextIOBase):
    """A text stream that hands on whole lines.

    Args:
        stream: ``stdout`` or ``stderr``.
        take: gets (stream, line).
    """

    def __init__(self, stream: str, take: Callable[[str, str], None]) -> None:
        super().__init__()
        self._stream = stream
        self._take = take
        self._rest = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str, /) -> int:
        """Take text; whole lines go on at once."""
        self._rest += text
        while True:
            line, newline, rest = self._rest.partition("\n")
            if not newline and len(line) < LONGEST_LINE:
                return len(text)
            self._rest = rest
            self._take(self._stream, line)

    def end_turn(self) -> None:
        """Hand on an unfinished line, so that it stays with its turn."""
        if self._rest:
            rest, self._rest = self._rest, ""
            self._take(self._stream, rest)
