"""Which processes have printed something: asked of the kernel once a round, however many there are.

Reads nothing of what they printed.
"""

from __future__ import annotations

import select


class Outputs:
    """The descriptors that processes print into.

    One that is closed is no longer among them by itself.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._names: dict[int, str] = {}
        """Descriptor → process that had it last."""

    def add(self, name: str, descriptor: int) -> None:
        """Watch what a process prints.

        Args:
            name: its name.
            descriptor: what it prints into; -1 for none.
        """
        if descriptor >= 0:
            self._names[descriptor] = name
            self._poll.register(descriptor, select.EPOLLIN)

    def fileno(self) -> int:
        """Give a descriptor that is readable while any process has printed something."""
        return self._poll.fileno()

    def ready(self) -> list[str]:
        """Name those that have, or whose descriptor was closed at the other end."""
        return [self._names[descriptor] for descriptor, _ in self._poll.poll(0)]

    def close(self) -> None:
        """Stop watching."""
        self._poll.close()
