"""Sojourn: durable flows of actors that move between hosts while they run.

The names below are the public ones; each is imported when it is first used, so that ``import
sojourn`` is quick and needs neither ZeroMQ nor SQLite. Holds no code of its own beside that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.actors.errors_handling import ErrorHandler, ErrorStrategy
    from sojourn.actors.flow import Flow
    from sojourn.actors.ports import event, slot
    from sojourn.actors.routine import Routine
    from sojourn.hosts.client import Client
    from sojourn.runtime.document import JobState
    from sojourn.runtime.errors import (
        AccessDenied,
        ActorCrashed,
        AlreadyRunning,
        AmbiguousName,
        CodeNotLoadable,
        DocumentRefused,
        FlowFrozen,
        GiveUp,
        HandoffAborted,
        HandoffFailed,
        HandoffInDoubt,
        HostUnable,
        InvalidFlow,
        InvalidInput,
        JobFailed,
        JobUnreadable,
        NoSupervisor,
        NotFound,
        OutsideTurn,
        ProtocolViolation,
        Refused,
        RetryLater,
        SojournError,
        StoreFailed,
        StoreTooNew,
        TurnTimeout,
        UsageError,
        ValueMalformed,
        ValueNotEncodable,
        WaitTimedOut,
        WorkFailed,
    )
    from sojourn.runtime.moved import Handoff

    __version__: str

# Written out, because type checkers read it; tests/test_face.py compares it with the error tree.
__all__ = [
    "AccessDenied",
    "ActorCrashed",
    "AlreadyRunning",
    "AmbiguousName",
    "Client",
    "CodeNotLoadable",
    "DocumentRefused",
    "ErrorHandler",
    "ErrorStrategy",
    "Flow",
    "FlowFrozen",
    "GiveUp",
    "Handoff",
    "HandoffAborted",
    "HandoffFailed",
    "HandoffInDoubt",
    "HostUnable",
    "InvalidFlow",
    "InvalidInput",
    "JobFailed",
    "JobState",
    "JobUnreadable",
    "NoSupervisor",
    "NotFound",
    "OutsideTurn",
    "ProtocolViolation",
    "Refused",
    "RetryLater",
    "Routine",
    "SojournError",
    "StoreFailed",
    "StoreTooNew",
    "TurnTimeout",
    "UsageError",
    "ValueMalformed",
    "ValueNotEncodable",
    "WaitTimedOut",
    "WorkFailed",
    "__version__",
    "event",
    "slot",
]

_HOMES = {
    "Client": "sojourn.hosts.client",
    "ErrorHandler": "sojourn.actors.errors_handling",
    "ErrorStrategy": "sojourn.actors.errors_handling",
    "Flow": "sojourn.actors.flow",
    "Handoff": "sojourn.runtime.moved",
    "JobState": "sojourn.runtime.document",
    "Routine": "sojourn.actors.routine",
    "event": "sojourn.actors.ports",
    "slot": "sojourn.actors.ports",
}
"""Where a name comes from; the others in ``__all__`` are errors."""

_ERRORS = "sojourn.runtime.errors"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, seldom asked

    try:
        return version("sojourn")
    except PackageNotFoundError:  # a checkout on the path that nobody installed
        return "0+unknown"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'sojourn' has no attribute {name!r}")
    value = (
        _version()
        if name == "__version__"
        else getattr(import_module(_HOMES.get(name, _ERRORS)), name)
    )
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
