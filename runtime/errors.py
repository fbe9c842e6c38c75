"""Every exception of the project, in one tree.

::

    SojournError                          exit code
    ├── WorkFailed                        1
    │   └── JobFailed
    ├── UsageError                        2
    │   ├── InvalidFlow
    │   │   └── FlowFrozen
    │   ├── InvalidInput
    │   ├── ValueNotEncodable
    │   ├── ValueMalformed
    │   ├── AmbiguousName
    │   └── OutsideTurn
    ├── NotFound                          3
    ├── Refused                           4
    │   ├── AlreadyRunning
    │   └── AccessDenied
    ├── NoSupervisor                      5
    ├── HostUnable                        6
    │   ├── DocumentRefused
    │   ├── StoreFailed
    │   │   ├── JobUnreadable
    │   │   └── StoreTooNew
    │   ├── CodeNotLoadable
    │   └── ProtocolViolation
    └── HandoffFailed                     7
        ├── HandoffAborted
        └── HandoffInDoubt                8

    WaitTimedOut (a TimeoutError too)     124
    GiveUp, RetryLater                    raised by a handler, seen by the engine only
    ActorCrashed, TurnTimeout             names of failed attempts, for an error handler's filters

Every message is one sentence for a person: what happened, to which job on which host, and the command
that helps. An error travels between processes as its class name and message, never as a pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sojourn.runtime.moved import Handoff


class SojournError(Exception):
    """The root of the tree.

    Attributes:
        exit_code: what the command line exits with when this error ends a command.
        message: the sentence for a person.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class WorkFailed(SojournError):
    """The work itself failed or was cancelled."""


class JobFailed(WorkFailed):
    """A result was asked for of a job that failed or was cancelled."""


class UsageError(SojournError):
    """The caller asked for something that can't be meant."""

    exit_code = 2


class InvalidFlow(UsageError):
    """A flow or routine is defined in a way that can't run."""


class FlowFrozen(InvalidFlow):
    """A flow was changed after its first use."""


class InvalidInput(UsageError):
    """The input of a job or an answer doesn't fit the slot that it is for."""


class ValueNotEncodable(UsageError):
    """A value is outside the closed set of types that can be stored."""


class ValueMalformed(UsageError):
    """Encoded bytes, or their JSON form, don't decode to a value."""


class AmbiguousName(UsageError):
    """A prefix names several jobs, or a question has to be named."""


class OutsideTurn(UsageError):
    """Something that only a running handler can do was called outside one."""


class NotFound(SojournError):
    """No such job, host, module, attribute, routine or question."""

    exit_code = 3


class Refused(SojournError):
    """Not possible in this state."""

    exit_code = 4


class AlreadyRunning(Refused):
    """Another supervisor already runs on this home."""


class AccessDenied(Refused):
    """A peer's key, role or module is not allowed to do this."""


class NoSupervisor(SojournError):
    """No supervisor answers on this home."""

    exit_code = 5


class HostUnable(SojournError):
    """This host can't: port taken, home not writable, disk full, damaged or newer file or store."""

    exit_code = 6


class DocumentRefused(HostUnable):
    """A file or document is truncated, edited, of an unknown version, or not one of ours."""


class StoreFailed(HostUnable):
    """The store on disk can't be read or written."""


class JobUnreadable(StoreFailed):
    """What the store holds of one job makes no sense; its other jobs are none the worse."""


class StoreTooNew(StoreFailed):
    """The store was written by a newer version."""


class CodeNotLoadable(HostUnable):
    """A module, class or flow can't be imported on this host."""


class ProtocolViolation(HostUnable):
    """A frame or message from a peer or process breaks the protocol."""


class HandoffFailed(SojournError):
    """A job isn't, or may not be, where it was to go. Where several were to move, some of them may be.

    Args:
        message: the sentence for a person.
        handoffs: the moves that were done.
        errors: job → why it didn't move, or isn't known to have moved; empty where one was to move.
    """

    exit_code = 7

    def __init__(
        self, message: str, *, handoffs: Sequence[Handoff] = (),
        errors: Mapping[str, SojournError] | None = None,
    ) -> None:
        super().__init__(message)
        self.handoffs = list(handoffs)
        self.errors = dict(errors or {})


class HandoffAborted(HandoffFailed):
    """A hand-off ended without moving the job, which is safe at its source."""


class HandoffInDoubt(HandoffFailed):
    """A hand-off passed its commit point but the new owner hasn't answered."""

    exit_code = 8


class WaitTimedOut(SojournError, TimeoutError):
    """A wait ended before its condition held; the job goes on."""

    exit_code = 124


class GiveUp(Exception):
    """Raised by a handler: fail this message without any further retry."""


class RetryLater(Exception):
    """Raised by a handler: this attempt failed, try again after a delay of its own choice.

    Args:
        message: why.
        after: seconds until the next attempt; None leaves it to the error handler's backoff.
    """

    after: float | None = None  # so for subclasses too that don't call this constructor

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class ActorCrashed(Exception):
    """The actor process died by itself during an attempt; never raised, named in records."""


class TurnTimeout(Exception):
    """An attempt exceeded its routine's ``timeout`` and was killed; never raised, named in records."""


def _tree(root: type[SojournError]) -> dict[str, type[SojournError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def from_wire(kind: str, message: str) -> SojournError:
    """Rebuild an error that came over a socket.

    Args:
        kind: the class name that :func:`to_wire` gave.
        message: the sentence.

    Returns:
        An instance of the named class, or of :class:`SojournError` when a newer peer sent a name
        that is unknown here.
    """
    return _tree(SojournError).get(kind, SojournError)(message)


def to_wire(error: SojournError) -> tuple[str, str]:
    """Give the (class name, sentence) under which an error travels."""
    return type(error).__name__, error.message
