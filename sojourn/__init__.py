"""Sojourn: durable flows of actors that move between hosts while they run.

The names below are the public ones; each is imported when it is first used, so that ``import
sojourn`` is quick and needs neither ZeroMQ nor SQLite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.actors.errors_handling import ErrorHandler, ErrorStrategy
    from sojourn.actors.flow import Flow
    from sojourn.actors.ports import event, slot
    from sojourn.actors.routine import Routine
    from sojourn.hosts.client import Client, Handoff
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
        HandoffInDoubt,
        HostUnable,
        InvalidFlow,
        InvalidInput,
        JobFailed,
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

_ERRORS = (
    "AccessDenied", "ActorCrashed", "AlreadyRunning", "AmbiguousName", "CodeNotLoadable",
    "DocumentRefused", "FlowFrozen", "GiveUp", "HandoffAborted", "HandoffInDoubt", "HostUnable",
    "InvalidFlow", "InvalidInput", "JobFailed", "NoSupervisor", "NotFound", "OutsideTurn",
    "ProtocolViolation", "Refused", "RetryLater", "SojournError", "StoreFailed", "StoreTooNew",
    "TurnTimeout", "UsageError", "ValueMalformed", "ValueNotEncodable", "WaitTimedOut", "WorkFailed",
)

_HOMES = {
    "Client": "sojourn.hosts.client",
    "ErrorHandler": "sojourn.actors.errors_handling",
    "ErrorStrategy": "sojourn.actors.errors_handling",
    "Flow": "sojourn.actors.flow",
    "Handoff": "sojourn.hosts.client",
    "JobState": "sojourn.runtime.document",
    "Routine": "sojourn.actors.routine",
    "event": "sojourn.actors.ports",
    "slot": "sojourn.actors.ports",
    **dict.fromkeys(_ERRORS, "sojourn.runtime.errors"),
}

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
    "HandoffInDoubt",
    "HostUnable",
    "InvalidFlow",
    "InvalidInput",
    "JobFailed",
    "JobState",
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
    "event",
    "slot",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sojourn' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
