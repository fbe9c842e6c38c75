"""The flow as a plain value: what a flow is once it is frozen, and the digest that names it.

Both sides agree on this: the authoring classes produce it, supervisors store it, send it to peers
and run jobs by it. It names classes and exceptions by import path and holds constructor arguments
as encoded bytes; it never imports or decodes any of them.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Protocol, runtime_checkable

import msgspec

from sojourn.runtime.wire.decoding import FrameDecoder

INPUT_SLOT = "input"
FAILED_EVENT = "failed"
OUTPUT_EVENT = "output"

MOST_PROCESSES = 256
"""Processes that one routine may have on a host."""

Finite = Annotated[float, msgspec.Meta(ge=0.0, le=sys.float_info.max)]
"""A number of a flow that times are made of: what a flow from elsewhere holds must be one."""


class ErrorStrategy(StrEnum):
    """What to do when a handler's attempt fails."""

    STOP = "stop"
    CONTINUE = "continue"
    SKIP = "skip"
    RETRY = "retry"


class HandlerSpec(msgspec.Struct, frozen=True):
    """An error handler; exceptions are named by import path ``module:Qualname``."""

    strategy: ErrorStrategy = ErrorStrategy.STOP
    max_retries: int = 3
    retry_delay: Finite = 1.0
    retry_backoff: Finite = 2.0
    max_delay: Finite = 60.0
    jitter: Finite = 0.0
    retryable_exceptions: tuple[str, ...] = ("builtins:Exception",)
    non_retryable_exceptions: tuple[str, ...] = ()
    on_exhausted: ErrorStrategy = ErrorStrategy.STOP

    def stops_the_job(self) -> bool:
        """Tell whether a message that ends under this handler takes its job along."""
        if self.strategy is ErrorStrategy.RETRY:
            return self.on_exhausted is ErrorStrategy.STOP
        return self.strategy is ErrorStrategy.STOP


class SlotSpec(msgspec.Struct, frozen=True):
    """A named input: the fields that a message for it must and may carry.

    Attributes:
        name: the slot's name.
        required: fields without a default.
        optional: fields with a default.
        open: whether any further field is taken (``**kwargs``).
    """

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open: bool = False


class EventSpec(msgspec.Struct, frozen=True):
    """A named output.

    Attributes:
        name: the event's name.
        fields: the fields of a typed event; None where any field may be emitted.
    """

    name: str
    fields: tuple[str, ...] | None = None


class RoutineSpec(msgspec.Struct, frozen=True):
    """A routine of a flow.

    Attributes:
        id: its name in the flow.
        cls: import path ``module:Qualname`` of its class.
        arguments: encoded ``{"args": [...], "kwargs": {...}}`` of its constructor.
        slots: its inputs, by order of definition.
        events: its outputs; ``output`` and ``failed`` always exist.
        handler: its error handler, if it has one of its own.
        processes: how many OS processes run its actors.
        parallel: whether several turns of one job may run at once.
        ordered: whether a message that waits for its retry holds back the ones behind it.
        timeout: seconds that one attempt may take; None for no limit.
        grace: seconds that a turn in flight is waited for; None for the host's default.
    """

    id: str
    cls: str
    arguments: bytes
    slots: tuple[SlotSpec, ...]
    events: tuple[EventSpec, ...]
    handler: HandlerSpec | None = None
    processes: Annotated[int, msgspec.Meta(ge=1, le=MOST_PROCESSES)] = 1
    parallel: bool = False
    ordered: bool = False
    timeout: Finite | None = None
    grace: Finite | None = None

    def slot(self, name: str) -> SlotSpec | None:
        """Find a slot by name."""
        return next((slot for slot in self.slots if slot.name == name), None)

    @property
    def module(self) -> str:
        """The module that its class is imported from."""
        return self.cls.partition(":")[0]


class Connection(msgspec.Struct, frozen=True):
    """An event of one routine that feeds a slot of another."""

    source: str
    event: str
    target: str
    slot: str


class IdleHook(msgspec.Struct, frozen=True):
    """A slot that receives the counts of ended messages once the job is idle."""

    routine: str
    slot: str


class FlowSpec(msgspec.Struct, frozen=True):
    """A frozen flow; ``entry`` is the routine that a job's input goes to."""

    id: str
    entry: str
    routines: tuple[RoutineSpec, ...]
    connections: tuple[Connection, ...] = ()
    when_idle: tuple[IdleHook, ...] = ()
    handler: HandlerSpec | None = None

    def routine(self, routine_id: str) -> RoutineSpec | None:
        """Find a routine by id."""
        return next((routine for routine in self.routines if routine.id == routine_id), None)

    def handler_for(self, routine: RoutineSpec) -> HandlerSpec:
        """Give the error handler in force: the routine's, else the flow's, else STOP."""
        return routine.handler or self.handler or HandlerSpec()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the flow's classes are imported from, sorted, each once."""
        return tuple(sorted({routine.module for routine in self.routines}))

    @property
    def exception_modules(self) -> tuple[str, ...]:
        """The modules of the exception classes that its error handlers name, sorted, each once."""
        handlers = (self.handler_for(routine) for routine in self.routines)
        paths = (
            path
            for handler in handlers
            for path in (*handler.retryable_exceptions, *handler.non_retryable_exceptions)
        )
        return tuple(sorted({path.partition(":")[0] for path in paths}))


@runtime_checkable
class FlowLike(Protocol):
    """What the client needs of a flow object: ``sojourn.Flow`` satisfies it."""

    def freeze(self) -> FlowSpec:
        """Freeze the flow and give its spec."""
        ...


_FLOW = FrameDecoder(msgspec.msgpack.Decoder(FlowSpec))


def encode_flow(spec: FlowSpec) -> bytes:
    """Encode a flow for the wire and the store (msgpack)."""
    return msgspec.msgpack.encode(spec)


def decode_flow(data: bytes) -> FlowSpec:
    """Decode a flow.

    Raises:
        msgspec.DecodeError: if the bytes are no flow.
    """
    return _FLOW.decode(data)
