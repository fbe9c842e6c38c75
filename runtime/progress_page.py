"""Layout of the progress page: how a process tells, without a message, what it is doing.

The page is a small file that an actor process maps and writes just before and after each handler;
the supervisor maps the same file. It outlives both and never leaves the machine, so numbers are in the
machine's own byte order; a word of eight bytes that is aligned is written in one store on the platforms
supported. ``begun`` is written last when an attempt begins, ``finished`` last when it ended, so a reader
that sees ``begun`` sees the rest.

The ring holds the attempts that began most recently: after a death it tells exactly which of the
messages sent ahead had begun, though their results were lost with the process.
"""

from __future__ import annotations

import struct

import msgspec

RING = 2048
"""How many attempts the ring holds: the supervisor never has more outstanding in one process."""

HEADER = struct.Struct("=qqqqqqdd")
"""begun, finished, count, job, epoch, message|attempt packed, wall start, monotonic start."""

BEGUN_WORD = 0
FINISHED_WORD = 1
COUNT_OFFSET = 16
HEADER_REST = struct.Struct("=qqqqdd")
"""The header from ``COUNT_OFFSET`` on."""

RING_OFFSET = 64
RING_ENTRY = struct.Struct("=qqq")
"""dispatch, job|epoch packed, message|attempt packed; entry ``count % RING`` is written next."""
PAGE_BYTES = RING_OFFSET + RING_ENTRY.size * RING

LOW_BITS = 24
"""``message << 24 | attempt`` shares one word, and so does ``job << 24 | epoch``."""


_MASK = (1 << LOW_BITS) - 1


def pack_pair(high: int, low: int) -> int:
    """Put a big number and a small one (below 2**24) into one word."""
    return high << LOW_BITS | low


class Begun(msgspec.Struct, frozen=True):
    """One attempt that began: dispatch id, job row, epoch, message and attempt numbers."""

    dispatch: int
    job: int
    epoch: int
    message: int
    attempt: int


class Running(msgspec.Struct, frozen=True):
    """What a page says.

    Attributes:
        begun: dispatch id of the attempt that began last; 0 before the first.
        finished: dispatch id of the attempt that ended last.
        job: row number of the job of ``begun``.
        epoch: epoch of that job.
        message: message number.
        attempt: attempt number.
        wall_start: when it began, seconds since the epoch.
        monotonic_start: the same on the monotonic clock of this boot.
        recent: the attempts that began most recently, the last one included, in no order.
    """

    begun: int
    finished: int
    job: int
    epoch: int
    message: int
    attempt: int
    wall_start: float
    monotonic_start: float
    recent: tuple[Begun, ...]

    @property
    def in_flight(self) -> bool:
        """Whether an attempt was executing."""
        return self.begun != self.finished


def read_page(page: bytes | memoryview) -> Running:
    """Read a whole page.

    Args:
        page: ``PAGE_BYTES`` bytes.

    Raises:
        ValueError: if the page is too short.
    """
    if len(page) < PAGE_BYTES:
        raise ValueError(f"a progress page has {PAGE_BYTES} bytes, this one {len(page)}")
    head = read_header(page)
    count = HEADER.unpack_from(page)[2]
    ring = page[RING_OFFSET : RING_OFFSET + RING_ENTRY.size * max(0, min(count, RING))]
    recent = tuple(
        Begun(dispatch, place >> LOW_BITS, place & _MASK, what >> LOW_BITS, what & _MASK)
        for dispatch, place, what in RING_ENTRY.iter_unpack(ring)
    )
    return msgspec.structs.replace(head, recent=recent)


def read_header(page: bytes | memoryview) -> Running:
    """Read a page without its ring: what runs now.

    Args:
        page: at least ``RING_OFFSET`` bytes.
    """
    begun, finished, _, job, epoch, packed, wall, monotonic = HEADER.unpack_from(page)
    return Running(
        begun, finished, job, epoch, packed >> LOW_BITS, packed & _MASK, wall, monotonic, ()
    )
