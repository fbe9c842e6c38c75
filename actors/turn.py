"""One attempt at one message: call the handler, collect its effects, make the result (G2).

Knows nothing of sockets: what reaches beyond the turn goes through ``Surroundings``.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.routine import TURN
from sojourn.actors.shared_map import SharedMap, Write
from sojourn.actors.turn_errors import HostFails, clean, describe_error, hindered
from sojourn.runtime.errors import InvalidFlow, InvalidInput, ValueMalformed, ValueNotEncodable
from sojourn.runtime.flow import FAILED_EVENT
from sojourn.runtime.values import BlobReference, decode_fields
from sojourn.runtime.wire.actor import Ending, Question, Result, Turn, TurnError

if TYPE_CHECKING:
    import structlog


class Surroundings(Protocol):
    """What a turn needs of the process around it."""

    def checkpoint(self, result: Result) -> bool:
        """Send a commit point and wait until it is durable; True if the turn must end there."""
        ...

    def should_yield(self) -> bool:
        """Whether something waits for this turn to end."""
        ...

    def time_left(self) -> float | None:
        """Seconds until the turn is interrupted; None if it isn't going to be."""
        ...

    def log(self, text: str) -> None:
        """Keep a line of the routine's log."""
        ...

    def result_number(self) -> int:
        """Give the number of the result that is made now, counted over the process's life from 1."""
        ...


LARGEST_COMMIT = 64 * 1024 * 1024
"""Bytes of emissions at one commit point: a supervisor hangs up on a batch of results that is too large."""

FEW_EMISSIONS = 256
"""So many are not counted: no value among them is larger than what becomes a blob."""


class TurnYielded(BaseException):
    """Ends a turn at a checkpoint. No ``Exception``, so that handlers let it pass."""


class OpenTurn(msgspec.Struct, eq=False):
    """A turn while its handler runs: what the handler's calls do.

    A ``Struct`` because one is made for every turn, and C sets its fields.

    Attributes:
        actor: whose turn it is.
        turn: the message.
        surroundings: the process around it.
        started: wall clock at its begin, in seconds.
        emissions: since the last commit point.
        shared_map: once the handler asked for it.
        result: fields set since the last commit point.
        questions: asked since then.
        asked: how many were asked in all.
        blobs: what was put since then.
        yielded: whether it ended at a checkpoint.
        fault: how the host's disk failed it.
    """

    actor: Actor
    turn: Turn
    surroundings: Surroundings
    started: float
    emissions: list[tuple[str, bytes]] = []
    shared_map: SharedMap | None = None
    result: dict[str, object] = {}
    questions: Sequence[Question] = ()
    asked: int = 0
    blobs: Sequence[tuple[str, int]] = ()
    yielded: bool = False
    fault: HostFails | None = None
    _progress: dict[str, Any] | None = None
    _logger: structlog.typing.FilteringBoundLogger | None = None

    @property
    def turn_id(self) -> str:
        """See ``Routine.turn_id``."""
        return f"{self.actor.instance_id}:{self.turn.message}"

    @property
    def job_id(self) -> str:
        """See ``Routine.job_id``."""
        return self.actor.job_id

    # --- blobs: what this turn refers to is remembered, and that it couldn't be had --------------

    def put(self, data: bytes) -> BlobReference:
        """Keep a large value and remember it as one of this turn."""
        blobs = self.actor.blobs
        if blobs is None:
            raise ValueNotEncodable("this turn has nowhere to keep large values")
        try:
            reference = blobs.put(data)
        except HostFails as fault:
            self.fault = fault
            raise
        self.blobs = [*self.blobs, (reference.digest, reference.size)]
        return reference

    def get(self, digest: str) -> bytes:
        """Give a large value's bytes."""
        blobs = self.actor.blobs
        if blobs is None:
            raise ValueMalformed(f"the value is kept in blob {digest}, and this turn has no blobs")
        try:
            return blobs.get(digest)
        except HostFails as fault:
            self.fault = fault
            raise

    @property
    def sink(self) -> OpenTurn | None:
        """Where large values go and come from, if anywhere."""
        return self if self.actor.blobs is not None else None

    # --- what handlers call ------------------------------------------------------------------

    def emit(self, event: str, data: dict[str, object]) -> None:
        """See ``Routine.emit``."""
        actor = self.actor
        loaded = actor.loaded
        outlet = loaded.outlets.get(event)
        if outlet is None or (outlet.fields is not None and data.keys() != outlet.fields):
            raise self._no_event(event, data)
        sink = None if actor.blobs is None else self
        encoded = loaded.encoder.encode_fields(data, where=outlet.where, blobs=sink)
        self.emissions.append((event, encoded))

    def _no_event(self, event: object, data: dict[str, object]) -> InvalidFlow:
        loaded = self.actor.loaded
        routine = loaded.spec.id
        if event == FAILED_EVENT:
            return InvalidFlow(
                f"the event 'failed' of routine {routine!r} is emitted when a message ends under "
                "CONTINUE or SKIP, not by handlers"
            )
        for name, fields in loaded.events.items():
            if name == event and fields is not None:
                return InvalidFlow(
                    f"event {event!r} of routine {routine!r} has the fields "
                    f"{', '.join(fields) or 'none'}, not {', '.join(data) or 'none'}"
                )
        known = ", ".join(loaded.events)
        return InvalidFlow(
            f"routine {routine!r} has no event {event!r} (it has {known}): declare it with @event"
        )

    @property
    def shared(self) -> SharedMap:
        """See ``Routine.shared``."""
        found = self.shared_map
        if found is None:
            actor = self.actor
            loaded = actor.loaded
            found = SharedMap(
                actor.shared.view(), loaded.encoder, loaded.classes, self.sink, self.sink
            )
            self.shared_map = found
        return found

    @property
    def progress(self) -> dict[str, Any]:
        """See ``Routine.progress``."""
        found = self._progress
        if found is None:
            encoded = self.turn.progress
            found = {}
            if encoded is not None:
                found = decode_fields(encoded, self.actor.loaded.classes, self.sink)
            self._progress = found
        return found

    def set_result(self, fields: dict[str, object]) -> None:
        """See ``Routine.set_result``."""
        self._encode(fields, "set_result", inline=True)
        self.result.update(fields)

    def ask(self, prompt: str, slot: str, timeout: float | None) -> str:
        """See ``Routine.ask``."""
        slots = self.actor.loaded.handlers
        if slot not in slots:
            raise InvalidFlow(
                f"ask: routine {self.actor.loaded.spec.id!r} has no slot {slot!r} "
                f"(it has {', '.join(slots)})"
            )
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"ask: the prompt must be text, not {type(prompt).__name__}")
        seconds = None if timeout is None else _seconds(timeout)
        if seconds is not None and not self.actor.loaded.handlers[slot].takes({"timed_out"}):
            raise InvalidFlow(
                f"ask: at its timeout the slot {slot!r} of routine {self.actor.loaded.spec.id!r} gets "
                "timed_out=True and nothing else, which it doesn't take: give it that parameter, and "
                "every other a default"
            )
        self.asked += 1
        # Random at its end: an attempt that was cut short after a checkpoint runs again under the
        # same number, and what it asks then is another question.
        name = f"q{self.turn.message}-{self.turn.attempt}-{self.asked}-{secrets.token_hex(3)}"
        self.questions = [*self.questions, Question(name, slot, clean(prompt), seconds)]
        return name

    def should_yield(self) -> bool:
        """See ``Routine.should_yield``."""
        return self.surroundings.should_yield()

    def time_left(self) -> float | None:
        """See ``Routine.time_left``."""
        return self.surroundings.time_left()

    def log(self) -> structlog.typing.FilteringBoundLogger:
        """See ``Routine.log``."""
        if self._logger is None:
            from sojourn.actors.turn_log import line_logger  # noqa: PLC0415 - few turns log

            self._logger = line_logger(self.surroundings.log).bind(
                job=self.job_id,
                routine=self.actor.loaded.spec.id,
                turn=self.turn_id,
                attempt=self.turn.attempt,
            )
        return self._logger

    def checkpoint(self) -> None:
        """See ``Routine.checkpoint``."""
        if self.yielded:  # a handler that holds the exception up commits nothing more
            raise TurnYielded
        if self.fault is not None:
            raise self.fault
        result = self.collect(Ending.CHECKPOINT)
        if result.progress is not None:
            self.turn.progress = result.progress
        if self.surroundings.checkpoint(result):
            self.yielded = True
            raise TurnYielded
        self.emissions = []
        self.questions = ()
        self.result = {}
        self.blobs = ()
        if self.shared_map is not None:
            self.shared_map.go_on(self.actor.shared.view())

    # --- results -----------------------------------------------------------------------------

    def collect(self, ending: Ending) -> Result:
        """Gather the effects since the last commit point, and count them as committed here.

        Raises:
            ValueNotEncodable: if an attribute, progress or result can't be stored, or all is too much.
        """
        actor = self.actor
        if len(self.emissions) > FEW_EMISSIONS:
            self._check_size()
        changed = actor.changes(self)
        if actor.parallel and (name := actor.touched(changed)) is not None:
            raise InvalidFlow(
                f"attribute {name!r} of the parallel routine {actor.loaded.spec.id!r} was changed in a "
                "turn: keep what belongs to the message in self.progress, what belongs to the job in "
                "self.shared"
            )
        progress = self._changed_progress() if ending is Ending.CHECKPOINT else None
        outcome = self._encode(self.result, "set_result", inline=True) if self.result else None
        actor.commit(changed)
        shared = self.shared_map
        writes: Sequence[Write] = ()
        if shared is not None and shared.writes:
            writes = shared.writes
            actor.shared.add(self.surroundings.result_number(), shared.writes, shared.view)
        return Result(
            self.turn.dispatch, ending, self.started, time.time(), self.emissions, changed, writes,
            progress, outcome, self.questions, None, self.blobs,
        )

    def _check_size(self) -> None:
        size = sum(len(data) for _, data in self.emissions)
        if size > LARGEST_COMMIT:
            raise ValueNotEncodable(
                f"{len(self.emissions)} emissions of {size} bytes are too much for one commit point (at "
                f"most {LARGEST_COMMIT} bytes): call self.checkpoint() between them"
            )

    def _encode(
        self, fields: dict[str, object], where: str, *, inline: bool = False
    ) -> bytes:
        sink = None if inline else self.sink
        return self.actor.loaded.encoder.encode_fields(fields, where=where, blobs=sink)

    def _changed_progress(self) -> bytes | None:
        if self._progress is None:
            return None
        data = self._encode(self._progress, "progress")
        before = self.turn.progress
        if data == before or (before is None and not self._progress):
            return None
        return data

    def failed(self, error: TurnError) -> Result:
        """Make the result of a failed attempt: the record, progress, and attributes only where kept."""
        actor = self.actor
        self.blobs = ()
        keeps = actor.loaded.cls.keep_state_on_failure and not actor.parallel
        changed: dict[str, bytes | None] = {}
        progress: bytes | None = None
        try:
            progress = self._changed_progress()
            if keeps:
                changed = actor.changes(self)
                actor.commit(changed)
        except (ValueNotEncodable, InvalidFlow) as unfit:
            error = TurnError(type(unfit).__name__, unfit.message, error.traceback, retryable=False)
        actor.restore()
        return Result(
            self.turn.dispatch, Ending.FAILED, self.started, time.time(),
            attributes=changed, progress=progress, error=error, blobs=self.blobs,
        )

    def hindered(self, fault: HostFails) -> Result:
        """Make the result of a turn that the host's disk failed."""
        # Not now: an attribute that is in a blob can't be put back while the disk fails.
        self.actor.stale = True
        return hindered(self.turn, self.job_id, fault, self.started)

    def gave_way(self) -> Result:
        """Make the result of a turn that ended at a checkpoint because it was asked to."""
        self.actor.restore()
        return Result(self.turn.dispatch, Ending.YIELDED, self.started, time.time())


def run_turn(actor: Actor, turn: Turn, surroundings: Surroundings, started: float) -> Result:
    """Run one attempt at a message.

    Args:
        actor: whose message it is.
        turn: the message.
        surroundings: the process around it.
        started: wall clock now, in seconds.

    Returns:
        Its result; never raises for anything that the handler does.
    """
    open_turn = OpenTurn(actor, turn, surroundings, started)
    try:
        if actor.stale:
            actor.restore()
            actor.stale = False
        return _attempt(actor, turn, open_turn)
    except HostFails as fault:
        return open_turn.hindered(fault)


def _attempt(actor: Actor, turn: Turn, open_turn: OpenTurn) -> Result:
    """Call the handler, and make the result of how it ended.

    Raises:
        HostFails: if the host's disk failed it.
    """
    loaded = actor.loaded
    try:
        if not actor.begun:
            actor.begin()
        data = decode_fields(turn.data, loaded.classes, open_turn)
        handler = loaded.handlers.get(turn.slot)
        if handler is None or (data.keys() != handler.required and not handler.takes(data.keys())):
            raise _misfit(loaded, turn, data)
        returned = _call(actor, turn.slot, data, open_turn)
        if open_turn.fault is not None:
            raise open_turn.fault
        if open_turn.yielded:
            return open_turn.gave_way()
        if returned is not None:
            raise InvalidFlow(
                f"the handler of {loaded.spec.id}.{turn.slot} returned a "
                f"{type(returned).__name__}: a routine passes values on with self.emit(\"output\", ...)"
            )
        return open_turn.collect(Ending.SUCCEEDED)
    except TurnYielded:
        return open_turn.gave_way()
    except HostFails:
        raise
    except BaseException as error:  # noqa: BLE001 - all that a handler may raise is a failed attempt
        if open_turn.fault is not None:  # the handler turned it into an error of its own
            raise open_turn.fault from None
        if open_turn.yielded:
            return open_turn.gave_way()
        return open_turn.failed(describe_error(loaded, error))


def _call(actor: Actor, slot: str, data: dict[str, object], open_turn: OpenTurn) -> object:
    call = actor.calls.get(slot) or actor.bind(slot)
    instance = actor.instance
    # Past the routine's own ways to assign.
    instance.__dict__[TURN] = open_turn
    try:
        return call(**data)
    finally:
        instance.__dict__[TURN] = None
        if open_turn.shared_map is not None:
            open_turn.shared_map.close(actor.blobs)


def _misfit(loaded: LoadedRoutine, turn: Turn, data: dict[str, object]) -> InvalidInput:
    """Say how a message doesn't fit its slot."""
    routine = loaded.spec.id
    handler = loaded.handlers.get(turn.slot)
    if handler is None:
        return InvalidInput(f"routine {routine!r} has no slot {turn.slot!r} any more")
    missing = handler.required - data.keys()
    if missing:
        return InvalidInput(f"the message for {routine}.{turn.slot} lacks the field {min(missing)!r}")
    extra = data.keys() - handler.known
    return InvalidInput(f"{routine}.{turn.slot} takes no field {min(extra)!r}")


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < math.inf:
        raise InvalidFlow(f"ask: timeout must be seconds from 0, not {given!r}")
    return float(given)


__all__ = ["OpenTurn", "Surroundings", "TurnYielded", "clean", "describe_error", "run_turn"]
