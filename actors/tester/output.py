"""What a handler prints while it is tested: kept line by line, and passed on to where it went anyway."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO, cast

from sojourn.actors.process.output import cut

Take = Callable[[str, str], None]
"""Gets (stream, line)."""


class _Tee(io.TextIOBase):
    """A text stream that keeps the lines of one thread."""

    def __init__(self, stream: str, through: TextIO, take: Take) -> None:
        super().__init__()
        self._stream = stream
        self._through = through
        self._take = take
        self._thread = threading.get_ident()
        self._rest = ""

    encoding = "utf-8"

    def fileno(self) -> int:
        return self._through.fileno()

    def isatty(self) -> bool:
        return self._through.isatty()

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._through.flush()

    def write(self, text: str, /) -> int:
        self._through.write(text)
        if threading.get_ident() == self._thread:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._take(self._stream, cut(line))
        return len(text)

    def end(self) -> None:
        """Take an unfinished line."""
        rest, self._rest = self._rest, ""
        if rest:
            self._take(self._stream, cut(rest))

    @property
    def buffer(self) -> object:
        """For those who write bytes: they pass unseen."""
        return self._through.buffer


@contextmanager
def captured(take: Take) -> Generator[None]:
    """Keep what this thread prints, until the block ends."""
    before = sys.stdout, sys.stderr
    out, err = _Tee("stdout", before[0], take), _Tee("stderr", before[1], take)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        out.end()
        err.end()
