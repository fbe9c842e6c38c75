"""What strikes an attempt in a test, and when: on demand, or at every turn.

Decides nothing about what follows; that is the engine's.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from sojourn.runtime.errors import UsageError

Fault = Literal["interrupt", "crash", "timeout", "move"]
"""What strikes:

- ``interrupt``: the supervisor (or its machine) dies; the outcome is lost, recorded ``interrupted``, and
  the same number runs again.
- ``crash``: the actor process dies by itself; a failed attempt ``ActorCrashed``.
- ``timeout``: the attempt is over its time and killed; a failed attempt ``TurnTimeout``.
- ``move``: a hand-off waits for the turn; it ends at its next ``checkpoint()`` or at its end.
"""


class TurnKilled(BaseException):
    """Ends a handler whose process is said to have died. No ``Exception``, so that handlers let it pass."""


class Strike(msgspec.Struct, frozen=True):
    """A fault and its moment.

    Attributes:
        fault: what strikes.
        after: the checkpoint of the attempt, from 1, right after whose commit it strikes (a hand-off waits
            from just before it); None for the end of the handler (a hand-off waits from the begin). An
            attempt with fewer checkpoints is struck at its end.
    """

    fault: Fault
    after: int | None = None

    @classmethod
    def of(cls, fault: Fault | None, after: int | None) -> Strike | None:
        """Make a strike from what a test asks for.

        Raises:
            UsageError: if there is no such fault or moment.
        """
        if fault is None:
            if after is not None:
                raise UsageError("step(after=) says when a fault strikes: name the fault too")
            return None
        if fault not in get_args(Fault):
            known = ", ".join(repr(name) for name in get_args(Fault))
            raise UsageError(f"there is no fault {fault!r}: use one of {known}")
        if after is not None and (isinstance(after, bool) or after < 1):
            raise UsageError(f"step(after=) counts checkpoints from 1, so it can't be {after!r}")
        return cls(fault, after)


class EveryTurn:
    """Strikes every attempt, each a bounded number of times, so that every flow ends.

    An attempt is interrupted after its 1st checkpoint, when it runs again after its 2nd, then its 4th and
    so on, and at last once at its end; then its outcome counts. Hand-offs wait for it in the same rhythm.

    Args:
        crash: whether attempts are interrupted.
        move: whether hand-offs wait for them.
    """

    def __init__(self, *, crash: bool, move: bool) -> None:
        self.move = move
        self._crash = crash
        self._interrupted: dict[tuple[int, int], int] = {}
        """(message, attempt) → how often it was interrupted; -1 once that happened at its end."""
        self._awaited: dict[tuple[int, int], int] = {}

    def strike(self, message: int, attempt: int) -> Strike | None:
        """Say what strikes the next execution of an attempt."""
        key = message, attempt
        times = self._interrupted.get(key, 0)
        if self._crash and times >= 0:
            return Strike("interrupt", 2**times)
        if self.move:
            return Strike("move", 2 ** self._awaited.get(key, 0))
        return None

    def struck(self, message: int, attempt: int, strike: Strike, *, at_end: bool) -> None:
        """Note how far an execution came."""
        key = message, attempt
        if strike.fault == "interrupt":
            self._interrupted[key] = -1 if at_end else self._interrupted.get(key, 0) + 1
        else:
            self._awaited[key] = self._awaited.get(key, 0) + 1
