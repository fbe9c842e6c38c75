"""What actor processes and clients send, decoded or refused.

What is malformed is counted, logged with who sent it, and changes nothing; who goes on sending it isn't
listened to for a while. What a message means, and who is answered, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec
import structlog

from sojourn.hosts.peers.limits import SILENCE, Refusals
from sojourn.hosts.supervisor.doors import Came

T = TypeVar("T")


class Refusal(NamedTuple):
    """A message that was refused.

    Attributes:
        why: what was wrong; it wasn't even looked at where its sender isn't listened to.
        deaf: whether its sender isn't listened to from now on.
    """

    why: str
    deaf: bool


class Threshold(Generic[T]):
    """Reads the messages of one socket.

    Args:
        decode: reads a message, or raises ``msgspec.DecodeError``.
        named: whether routes are names, in UTF-8.
    """

    def __init__(self, decode: Callable[[bytes | memoryview], T], *, named: bool = False) -> None:
        self._decode = decode
        self._named = named
        self._refusals = Refusals()

    def read(self, came: Came, now: float) -> T | Refusal:
        """Read what came. ``now`` is monotonic seconds."""
        if self._refusals.total:  # else nobody was ever refused anything
            who = came.sender()
            if self._refusals.silenced(who, now):
                return Refusal(f"too much of it was: nothing is read for {SILENCE:g} s", deaf=False)
            unheard = self._refusals.unheard(who)
            if unheard:
                structlog.get_logger().warning("listened to again", sender=who, dropped=unheard)
        if len(came.frames) != 1:
            beyond = "" if came.complete else "more than "
            return self._refuse(came, f"{beyond}{len(came.frames) + 1} frames instead of 2", now)
        try:
            if self._named:
                came.route.decode()
            return self._decode(came.frames[0])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._refuse(came, str(error), now)

    def _refuse(self, came: Came, why: str, now: float) -> Refusal:
        who, log = came.sender(), structlog.get_logger()
        deaf = self._refusals.refused(who, now)
        log.warning("malformed message", sender=who, error=why, refused_so_far=self._refusals.total)
        if deaf:
            log.warning("not listened to for a while", sender=who, refused=self._refusals.count(who))
        return Refusal(why, deaf)
