"""What others may send: sizes, and how often they may be refused before they aren't listened to."""

from __future__ import annotations

from collections import deque

import msgspec

LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes of a frame: far above a hand-off's chunk, since relayed commands and answers travel whole."""

FRAMES_PER_ROUND = 256
"""Messages of a socket between hosts that one round takes in."""

MESSAGES_PER_ROUND = 64
"""Messages of a socket between hosts after which a round takes in no more of it: what it has to say to them
leaves, so that the other side has something to do meanwhile."""

BYTES_PER_ROUND = 64 * 1024 * 1024
"""Bytes of a socket after which a round takes in no more of it."""

REFUSALS = 20
WINDOW = 10.0
SILENCE = 30.0

SENDERS = 1000
"""How many senders are told apart; on a host's own sockets anyone can come anew."""

REPEAT_AFTER = 60.0
"""Seconds until the same refusal of a stranger is told again."""

STRANGERS_TOLD = 50
"""Lines of the log that all strangers together get in ``REPEAT_AFTER`` seconds."""

STRANGERS = 1000
"""How many strangers are told apart; anyone can make up keys."""


class _Sender(msgspec.Struct):
    """What was refused of someone.

    Attributes:
        times: of the last refusals, monotonic seconds.
        total: how many there were.
        deaf_until: monotonic seconds until which it isn't listened to.
        unheard: messages that weren't listened to since it was told last.
    """

    times: deque[float]
    total: int = 0
    deaf_until: float = 0.0
    unheard: int = 0


class Refusals:
    """Counts refused messages per sender.

    After ``REFUSALS`` within ``WINDOW`` seconds a sender isn't listened to for ``SILENCE`` seconds.
    """

    def __init__(self) -> None:
        self._senders: dict[str, _Sender] = {}
        self.total = 0

    def refused(self, sender: str, now: float) -> bool:
        """Count one; tell whether the sender isn't listened to from ``now`` (monotonic seconds) on."""
        self.total += 1
        found = self._senders.pop(sender, None) or _Sender(deque(maxlen=REFUSALS))
        self._senders[sender] = found  # the one that was refused last comes last
        if len(self._senders) > SENDERS:
            del self._senders[next(iter(self._senders))]
        found.total += 1
        found.times.append(now)
        if len(found.times) < REFUSALS or now - found.times[0] > WINDOW:
            return False
        found.deaf_until = now + SILENCE
        found.times.clear()
        return True

    def silenced(self, sender: str, now: float) -> bool:
        """Tell whether a message of a sender isn't listened to now, and count it if so."""
        found = self._senders.get(sender)
        if found is None or found.deaf_until <= now:
            return False
        self.total += 1
        found.total += 1
        found.unheard += 1
        return True

    def unheard(self, sender: str) -> int:
        """Give how many messages of a sender weren't listened to since this was asked last."""
        found = self._senders.get(sender)
        if found is None:
            return 0
        count, found.unheard = found.unheard, 0
        return count

    def count(self, sender: str) -> int:
        """Give how many messages of a sender were refused, those that weren't listened to included."""
        found = self._senders.get(sender)
        return 0 if found is None else found.total


LINES = 20
"""Lines of the log that one sender gets in ``REPEAT_AFTER`` seconds."""


class LogLines:
    """Keeps a log readable while someone is refused many things: some lines each, then a count."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._lines: dict[str, int] = {}

    def line(self, who: str, detail: str, now: float) -> str | None:
        """Give what to log; None where enough was. ``now`` is monotonic seconds."""
        count = self._lines.get(who, 0) + 1
        if now - self._since.get(who, float("-inf")) >= REPEAT_AFTER:
            left_out = max(0, count - 1 - LINES)
            self._since[who], self._lines[who] = now, 1
            return f"{who}: {detail}" + (f" ({left_out} lines before were left out)" if left_out else "")
        self._lines[who] = count
        if count > LINES:
            return None
        return f"{who}: {detail}" + (" (more is not logged for a while)" if count == LINES else "")


class Strangers:
    """Keeps a log readable while a stranger knocks several times a second."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._since = float("-inf")
        self._lines = 0

    def knocked(self, who: str, now: float) -> str | None:
        """Give what to log of a refused stranger; None while it was told a short time ago."""
        if now - self._told.get(who, float("-inf")) < REPEAT_AFTER:
            self._untold[who] = self._untold.get(who, 0) + 1
            return None
        if now - self._since >= REPEAT_AFTER:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > STRANGERS_TOLD:
            return None
        more = " (others aren't logged for a while)" if self._lines == STRANGERS_TOLD else ""
        if who not in self._told and len(self._told) >= STRANGERS:
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._untold.pop(oldest, None)
        self._told.pop(who, None)
        self._told[who] = now
        untold = self._untold.pop(who, 0)
        again = f" ({untold} more times since the last line)" if untold else ""
        return f"{who}{again}{more}"
