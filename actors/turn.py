"""One attempt at one message: call the handler, collect its effects, make the result (G2).

Knows nothing of sockets: what reaches beyond the turn goes through ``Surroundings``.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.routine import TURN
from sojourn.actors.shared_map import SharedMap
from sojourn.runtime.errors import (
    GiveUp,
    InvalidFlow,
    InvalidInput,
    RetryLater,
    ValueMalformed,
    ValueNotEncodable,
)
from sojourn.runtime.flow import FAILED_EVENT
from sojourn.runtime.values import BlobReference, decode_fields, encode_fields
from sojourn.runtime.wire.actor import Ending, Question, Result, Turn, TurnError

if TYPE_CHECKING:
    import structlog

TRACEBACK_LIMIT = 8000
"""Characters of a traceback that are kept."""

MESSAGE_LIMIT = 4000
NEVER_RETRIED = (ValueNotEncodable, ValueMalformed, InvalidFlow, InvalidInput, GiveUp)


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

    def next_unit(self) -> int:
        """Give the number of the result that is made now, counted over the process's life."""
        ...


class TurnYielded(BaseException):
    """Ends a turn at a checkpoint. No ``Exception``, so that handlers let it pass."""


class OpenTurn:
    """A turn while its handler runs: what the handler's calls do."""

    __slots__ = (
        "_actor", "_logger", "_progress", "_surroundings", "asked", "blobs", "emissions",
        "job_id", "questions", "result", "shared_map", "started", "turn", "turn_id", "yielded",
    )

    def __init__(self, actor: Actor, turn: Turn, surroundings: Surroundings) -> None:
        self._actor = actor
        self._surroundings = surroundings
        self.turn = turn
        self.turn_id = actor.turn_prefix + str(turn.message)
        self.job_id = actor.job_id
        self.emissions: list[tuple[str, bytes]] = []
        self.shared_map: SharedMap | None = None
        self._progress: dict[str, Any] | None = None
        self.result: dict[str, object] = {}
        self.questions: list[Question] = []
        self.asked = 0
        self.blobs: list[tuple[str, int]] = []
        self.started = time.time()
        self.yielded = False
        self._logger: structlog.stdlib.BoundLogger | None = None

    # --- blobs: the sink that remembers what this turn refers to -----------------------------

    def put(self, data: bytes) -> BlobReference:
        """Keep a large value and remember it as one of this turn."""
        blobs = self._actor.blobs
        if blobs is None:
            raise ValueNotEncodable("this turn has nowhere to keep large values")
        reference = blobs.put(data)
        self.blobs.append((reference.digest, reference.size))
        return reference

    @property
    def sink(self) -> OpenTurn | None:
        """Where large values go, if anywhere."""
        return self if self._actor.blobs is not None else None

    # --- what handlers call ------------------------------------------------------------------

    def emit(self, event: str, data: dict[str, object]) -> None:
        """See ``Routine.emit``."""
        events = self._actor.loaded.events
        if event not in events or event == FAILED_EVENT:
            self._no_event(event)
        fields = events[event]
        if fields is not None and data.keys() != set(fields):
            raise InvalidFlow(
                f"event {event!r} of routine {self._actor.loaded.spec.id!r} has the fields "
                f"{', '.join(fields)}, not {', '.join(data) or 'none'}"
            )
        self.emissions.append(
            (event, encode_fields(data, where=f"event {event!r}", blobs=self.sink))
        )

    def _no_event(self, event: object) -> None:
        routine = self._actor.loaded.spec.id
        if event == FAILED_EVENT:
            raise InvalidFlow(
                f"the event 'failed' of routine {routine!r} is emitted when a message ends under "
                "CONTINUE or SKIP, not by handlers"
            )
        known = ", ".join(self._actor.loaded.events)
        raise InvalidFlow(
            f"routine {routine!r} has no event {event!r} (it has {known}): declare it with @event"
        )

    @property
    def shared(self) -> SharedMap:
        """See ``Routine.shared``."""
        found = self.shared_map
        if found is None:
            actor = self._actor
            found = SharedMap(
                actor.shared.view(), actor.loaded.classes, actor.blobs, self.sink
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
                found = decode_fields(encoded, self._actor.loaded.classes, self._actor.blobs)
            self._progress = found
        return found

    def set_result(self, fields: dict[str, object]) -> None:
        """See ``Routine.set_result``."""
        encode_fields(fields, where="set_result")
        self.result.update(fields)

    def ask(self, prompt: str, slot: str, timeout: float | None) -> str:
        """See ``Routine.ask``."""
        slots = self._actor.loaded.slots
        if slot not in slots:
            raise InvalidFlow(
                f"ask: routine {self._actor.loaded.spec.id!r} has no slot {slot!r} "
                f"(it has {', '.join(slots)})"
            )
        if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"ask: the prompt must be text, not {type(prompt).__name__}")
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0  # pyright: ignore[reportUnnecessaryIsInstance]
        ):
            raise InvalidFlow(f"ask: timeout must be seconds from 0, not {timeout!r}")
        self.asked += 1
        name = f"q{self.turn.message}-{self.turn.attempt}-{self.asked}"
        self.questions.append(
            Question(name, slot, prompt, None if timeout is None else float(timeout))
        )
        return name

    def should_yield(self) -> bool:
        """See ``Routine.should_yield``."""
        return self._surroundings.should_yield()

    def time_left(self) -> float | None:
        """See ``Routine.time_left``."""
        return self._surroundings.time_left()

    def log(self) -> structlog.stdlib.BoundLogger:
        """See ``Routine.log``."""
        if self._logger is None:
            from sojourn.actors.turn_log import line_logger  # noqa: PLC0415 - few turns log

            self._logger = line_logger(self._surroundings.log).bind(
                job=self.job_id,
                routine=self._actor.loaded.spec.id,
                turn=self.turn_id,
                attempt=self.turn.attempt,
            )
        return self._logger

    def checkpoint(self) -> None:
        """See ``Routine.checkpoint``."""
        result = self.collect(Ending.CHECKPOINT)
        if result.progress is not None:
            self.turn.progress = result.progress
        if self._surroundings.checkpoint(result):
            self.yielded = True
            raise TurnYielded
        self.emissions = []
        self.questions = []
        self.result = {}
        self.blobs = []
        self.shared_map = None

    # --- results -----------------------------------------------------------------------------

    def collect(self, ending: Ending) -> Result:
        """Gather the effects since the last commit point, and count them as committed here.

        Raises:
            ValueNotEncodable: if an attribute, progress or result can't be stored.
        """
        actor = self._actor
        changed = actor.changes(self.sink)
        if changed and actor.loaded.spec.parallel and actor.durable:
            name = next(iter(changed))
            raise InvalidFlow(
                f"attribute {name!r} of the parallel routine {actor.loaded.spec.id!r} was changed in a "
                "turn: use self.progress or self.shared"
            )
        progress = self._changed_progress() if ending is Ending.CHECKPOINT else None
        outcome = encode_fields(self.result, where="set_result") if self.result else None
        writes = self.shared_map.writes if self.shared_map is not None else []
        unit = self._surroundings.next_unit()
        if changed:
            actor.commit(changed)
        if writes:
            actor.shared.add(unit, writes)
        return Result(
            self.turn.dispatch, ending, self.started, time.time(), self.emissions, changed, writes,
            progress, outcome, self.questions, None, self.blobs,
        )

    def _changed_progress(self) -> bytes | None:
        if self._progress is None:
            return None
        data = encode_fields(self._progress, where="progress", blobs=self.sink)
        before = self.turn.progress
        if data == before or (before is None and not self._progress):
            return None
        return data

    def failed(self, error: TurnError) -> Result:
        """Make the result of a failed attempt: the record, progress, and attributes only where kept."""
        actor = self._actor
        self.blobs = []
        changed: dict[str, bytes | None] = {}
        progress: bytes | None = None
        try:
            progress = self._changed_progress()
            if actor.loaded.cls.keep_state_on_failure and not actor.loaded.spec.parallel:
                changed = actor.changes(self.sink)
        except ValueNotEncodable as unencodable:
            error = TurnError(
                type(unencodable).__name__, unencodable.message, error.traceback, retryable=False
            )
            changed = {}
        if changed:
            actor.commit(changed)
        actor.restore()
        self._surroundings.next_unit()
        return Result(
            self.turn.dispatch, Ending.FAILED, self.started, time.time(),
            attributes=changed, progress=progress, error=error, blobs=self.blobs,
        )

    def gave_way(self) -> Result:
        """Make the result of a turn that ended at a checkpoint because it was asked to."""
        self._actor.restore()
        self._surroundings.next_unit()
        return Result(self.turn.dispatch, Ending.YIELDED, self.started, time.time())


def run_turn(actor: Actor, turn: Turn, surroundings: Surroundings) -> Result:
    """Run one attempt at a message.

    Args:
        actor: whose message it is.
        turn: the message.
        surroundings: the process around it.

    Returns:
        Its result; never raises for anything that the handler does.
    """
    open_turn = OpenTurn(actor, turn, surroundings)
    instance = actor.instance
    try:
        actor.begin()
        data = decode_fields(turn.data, actor.loaded.classes, actor.blobs)
        handler = getattr(instance, _method(actor, turn, data))
        object.__setattr__(instance, TURN, open_turn)
        try:
            returned = handler(**data)
        finally:
            object.__setattr__(instance, TURN, None)
        if open_turn.yielded:
            return open_turn.gave_way()
        if returned is not None:
            raise InvalidFlow(
                f"the handler of {actor.loaded.spec.id}.{turn.slot} returned a "
                f"{type(returned).__name__}: a routine passes values on with self.emit(\"output\", ...)"
            )
        return open_turn.collect(Ending.SUCCEEDED)
    except TurnYielded:
        return open_turn.gave_way()
    except BaseException as error:  # a handler may raise anything; all of it is a failed attempt
        if open_turn.yielded:
            return open_turn.gave_way()
        return open_turn.failed(describe_error(actor.loaded, error))


def _method(actor: Actor, turn: Turn, data: dict[str, object]) -> str:
    found = actor.loaded.slots.get(turn.slot)
    routine = actor.loaded.spec.id
    if found is None:
        raise InvalidInput(f"routine {routine!r} has no slot {turn.slot!r} any more")
    spec, method = found
    for name in spec.required:
        if name not in data:
            raise InvalidInput(f"the message for {routine}.{turn.slot} lacks the field {name!r}")
    if not spec.open and len(data) > len(spec.required):
        for name in data:
            if name not in spec.required and name not in spec.optional:
                raise InvalidInput(f"{routine}.{turn.slot} takes no field {name!r}")
    return method


def describe_error(loaded: LoadedRoutine, error: BaseException) -> TurnError:
    """Give an exception as it is recorded, and whether the error handler would retry it."""
    # the classes are matched here, in the process that has them
    after = error.after if isinstance(error, RetryLater) else None
    if isinstance(error, NEVER_RETRIED):
        retryable = False
    elif isinstance(error, RetryLater):
        retryable = True
    else:
        retryable = isinstance(error, loaded.retryable) and not isinstance(
            error, loaded.non_retryable
        )
    return make_error(error, retryable=retryable, after=after)


def make_error(
    error: BaseException, *, retryable: bool, after: float | None = None
) -> TurnError:
    """Give an exception as it is recorded, bounded."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an author's __str__ may raise anything
        message = "(its text can't be made)"
    tail = error.__traceback__.tb_next if error.__traceback__ is not None else None
    text = "".join(
        traceback.format_exception(type(error), error, tail or error.__traceback__, limit=-20)
    )
    return TurnError(
        type(error).__name__, clean(message)[:MESSAGE_LIMIT], clean(text)[-TRACEBACK_LIMIT:],
        retryable, after,
    )


def clean(text: str) -> str:
    """Make any text encodable: lone surrogates are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


__all__ = [
    "OpenTurn", "Surroundings", "TurnYielded", "clean", "describe_error", "make_error",
    "run_turn",
]
