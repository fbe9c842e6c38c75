"""How much waits where: the bounds of mailboxes and of what a host takes, as numbers.

What follows from them is done elsewhere: messages beyond a bound and held routines in ``mailboxes``, what
counts as a full queue of jobs in ``queues``, submits that wait in ``hosts``.
"""

from __future__ import annotations

import msgspec

MESSAGE_BYTES = 400
"""About what a message in memory takes beside its data."""


class Bounds(msgspec.Struct, frozen=True):
    """Bounds of one host.

    Attributes:
        mailbox: messages of one actor from which on what feeds it is held back; so many are kept in memory.
            At half of it the held ones go on, and more are read back from the store.
        few: messages that an actor keeps in memory where all mailboxes together take ``memory``.
        memory: bytes that all messages in memory may take before that.
        jobs: jobs of one flow that wait for their first turn, from which on submits wait.
        inputs: bytes of their inputs, from which on submits wait.
    """

    mailbox: int = 4096
    few: int = 64
    memory: int = 256 * 1024 * 1024
    jobs: int = 100_000
    inputs: int = 256 * 1024 * 1024

    def low(self) -> int:
        """Messages of a full mailbox at which it counts as full no more."""
        return self.mailbox // 2
