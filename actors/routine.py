"""``Routine``: the base class of everything that a flow runs.

Holds what a handler can call. What these calls lead to is the turn's business (``turn.py``); outside
a turn each of them says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sojourn.actors.errors_handling import ErrorHandler
from sojourn.actors.ports import events_of, slots_of
from sojourn.runtime.errors import FlowFrozen, InvalidFlow, OutsideTurn, ValueNotEncodable
from sojourn.runtime.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    import structlog

    from sojourn.actors.shared_map import SharedMap
    from sojourn.actors.turn import OpenTurn

ARGUMENTS = "_sojourn_arguments"
HANDLER = "_sojourn_handler"
TURN = "_sojourn_turn"
FLOW = "_sojourn_flow"
NO_ARGUMENTS = encode({"args": [], "kwargs": {}}, where="no arguments")
"""How a constructor's arguments are recorded where there are none."""


class Routine:
    """A step of a flow. Derive from it and write ``process`` (the slot ``input``) or ``@slot`` methods.

    Public attributes are the actor's state: saved at every commit point, restored after a failed
    attempt, a restart and a hand-off. Private ones and those named in ``transient`` are not.

    Attributes:
        transient: names of attributes that are never saved; ``activate`` makes them anew.
        keep_state_on_failure: whether attributes keep what a failed attempt left in them.
    """

    transient: ClassVar[tuple[str, ...]] = ()
    keep_state_on_failure: ClassVar[bool] = False

    _sojourn_arguments: bytes | ValueNotEncodable
    _sojourn_handler: ErrorHandler | None = None
    _sojourn_turn: OpenTurn | None = None
    _sojourn_flow: str | None = None
    """Id of the frozen flow that the instance belongs to."""

    # Any: a subclass's constructor takes what it likes.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the instance and record the constructor's arguments: they are part of the flow."""
        self = super().__new__(cls)
        if not args and not kwargs:
            object.__setattr__(self, ARGUMENTS, NO_ARGUMENTS)
            return self
        try:
            recorded: bytes | ValueNotEncodable = encode(
                {"args": list(args), "kwargs": kwargs},
                where=f"the constructor arguments of {cls.__qualname__}",
            )
        except ValueNotEncodable as error:
            recorded = _name_argument(cls, args, kwargs) or error
        object.__setattr__(self, ARGUMENTS, recorded)
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in sorted(RESERVED):
            owner = next(base for base in cls.__mro__ if name in vars(base))
            if owner is not Routine:
                verb = "defines" if owner is cls else f"inherits from {owner.__qualname__}"
                raise InvalidFlow(
                    f"{cls.__qualname__} {verb} {name!r}, which every routine has already: "
                    "choose another name"
                )
        _refuse_slots(cls)
        if isinstance(cls.transient, str):
            raise InvalidFlow(
                f"{cls.__qualname__}.transient is a text, not a tuple of names: write "
                f"transient = ({cls.transient!r},)"
            )
        slots_of(cls)
        events_of(cls)

    # --- set up -----------------------------------------------------------------------------

    def set_error_handler(self, handler: ErrorHandler) -> None:
        """Give the routine an error handler of its own; one that ``add_routine`` was given wins.

        Raises:
            InvalidFlow: if it is none.
            FlowFrozen: if the routine's flow was used already.
        """
        if self._sojourn_flow is not None:
            raise FlowFrozen(
                f"flow {self._sojourn_flow!r} was used already: give its routines their error handlers "
                "first"
            )
        if not isinstance(handler, ErrorHandler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"set_error_handler takes an ErrorHandler, not {handler!r}")
        object.__setattr__(self, HANDLER, handler)

    # --- in a handler -----------------------------------------------------------------------

    @property
    def _sojourn_open(self) -> OpenTurn:
        turn = self._sojourn_turn
        if turn is None:
            raise _outside(self)
        return turn

    # Any: the fields of an untyped event are the author's own.
    def emit(self, event: str, /, **data: Any) -> None:
        """Emit an event: its fields go to every slot connected to it, once the turn is committed.

        Args:
            event: name of the event.
            **data: its fields.

        Raises:
            InvalidFlow: if the routine has no such event.
            OutsideTurn: outside a handler.
        """
        turn = self._sojourn_turn
        if turn is None:
            raise _outside(self)
        turn.emit(event, data)

    @property
    def attempt(self) -> int:
        """Number of this attempt at the message, from 1."""
        return self._sojourn_open.turn.attempt

    @property
    def turn_id(self) -> str:
        """Id of this turn, the same over all its attempts and hosts: an idempotency key."""
        return self._sojourn_open.turn_id

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self._sojourn_open.job_id

    @property
    def shared(self) -> SharedMap:
        """The job's shared map."""
        return self._sojourn_open.shared

    # Any: what an author keeps in it is his own.
    @property
    def progress(self) -> dict[str, Any]:
        """A dict that is durable per message: survives failed attempts, gone on success."""
        return self._sojourn_open.progress

    def checkpoint(self) -> None:
        """Commit attributes, shared map, progress and what was emitted so far; returns once durable.

        Raises:
            OutsideTurn: outside a handler.
        """
        self._sojourn_open.checkpoint()

    def set_result(self, /, **fields: Any) -> None:
        """Set fields of the job's result.

        Args:
            **fields: later ones win, key by key.
        """
        self._sojourn_open.set_result(fields)

    def ask(self, prompt: str, slot: str, timeout: float | None = None) -> str:
        """Ask a person; the answer is a message to a slot of this routine.

        Args:
            prompt: what is asked.
            slot: slot that the answer goes to.
            timeout: seconds after which the slot gets ``timed_out=True`` instead; None for never.

        Returns:
            The question's id.
        """
        return self._sojourn_open.ask(prompt, slot, timeout)

    @property
    def should_yield(self) -> bool:
        """Whether a hand-off, drain or stop waits for this turn: end it, or checkpoint, soon."""
        return self._sojourn_open.should_yield()

    @property
    def time_left(self) -> float | None:
        """Seconds until this turn is interrupted; None if it isn't going to be."""
        return self._sojourn_open.time_left()

    @property
    def log(self) -> structlog.typing.FilteringBoundLogger:
        """A logger bound to job, routine, turn and attempt; its lines are kept with the job."""
        return self._sojourn_open.log()


RESERVED = frozenset({
    "attempt", "ask", "checkpoint", "emit", "job_id", "log", "progress", "set_error_handler",
    "set_result", "shared", "should_yield", "time_left", "turn_id",
})
"""Names that a subclass can't take."""


def _outside(routine: Routine) -> OutsideTurn:
    return OutsideTurn(
        f"{type(routine).__qualname__} is not handling a message: emit, checkpoint, shared and "
        "the like work in a handler only"
    )


def _refuse_slots(cls: type[Routine]) -> None:
    """Refuse public attributes without a place in ``__dict__``: they would silently be no state."""
    for base in cls.__mro__:
        slots: object = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else cast(Iterable[str], slots):
            if name[0] != "_" and name not in cls.transient:
                raise InvalidFlow(
                    f"{cls.__qualname__} keeps {name!r} in __slots__, where it wouldn't be saved: leave "
                    "it out of them"
                )


# Any: as in ``Routine.__new__``.
def _name_argument(
    cls: type[Routine], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ValueNotEncodable | None:
    """Find the argument that can't be encoded, and say so by its name."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    names = [
        parameter.name for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    named = {names[n] if n < len(names) else f"number {n + 1}": value for n, value in enumerate(args)}
    for name, value in (named | kwargs).items():
        try:
            encode(value, where=f"the constructor argument {name!r} of {cls.__qualname__}")
        except ValueNotEncodable as error:
            return error
    return None


def _refuse_assignment(name: str) -> Callable[[Routine, object], None]:
    def refuse(self: Routine, value: object) -> None:
        del value
        raise InvalidFlow(
            f"{type(self).__qualname__} can't assign self.{name}, which every routine has already: "
            "choose another name"
        )

    return refuse


# Setters that refuse, put in from here so that type checkers still see read-only properties.
for _name, _member in list(vars(Routine).items()):
    if isinstance(_member, property) and _name in RESERVED:
        setattr(Routine, _name, _member.setter(_refuse_assignment(_name)))


def state_names(routine: Routine) -> list[str]:
    """Give the names of a routine's public, non-transient instance attributes."""
    transient = type(routine).transient
    return [name for name in vars(routine) if name[0] != "_" and name not in transient]
