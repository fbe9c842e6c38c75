"""Slots and events: the decorators that mark them, and what a class declares with them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from sojourn.runtime.errors import InvalidFlow
from sojourn.runtime.flow import (
    FAILED_EVENT,
    INPUT_SLOT,
    OUTPUT_EVENT,
    EventSpec,
    SlotSpec,
)

P = ParamSpec("P")
H = TypeVar("H", bound=Callable[..., object])
S = TypeVar("S")

SLOT_MARK = "__sojourn_slot__"
PROCESS = "process"
"""The method that is the slot ``input``."""


def slot(handler: H) -> H:
    """Mark a method as a slot: a named input of its routine.

    Args:
        handler: its parameters are the fields of the slot's messages.

    Returns:
        The same method.
    """
    setattr(handler, SLOT_MARK, True)
    return handler


class Emits(Protocol):
    """What an event needs of the routine that it belongs to."""

    # Any: fields are the author's own.
    def emit(self, event: str, /, **data: Any) -> None:
        """Emit an event."""
        ...


class BoundEvent(Generic[P]):
    """A typed event of one routine: call it in a handler to emit it, or connect it.

    A class and no plain callable: mypy compares the fields of two callables only loosely, those of a
    class's parameter exactly.

    Args:
        routine: whose event it is.
        port: the event.
    """

    __slots__ = ("_port", "routine")

    def __init__(self, routine: Emits, port: Event[P]) -> None:
        self.routine = routine
        self._port = port

    def __repr__(self) -> str:
        return f"<event {self.spec.name!r} of {self.routine!r}>"

    @property
    def spec(self) -> EventSpec:
        """Its name and fields."""
        return self._port.spec

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Emit it."""
        port = self._port
        if args or len(kwargs) != port.count:
            self.routine.emit(port.name, **port.bind(args, kwargs))
        else:
            self.routine.emit(port.name, **kwargs)


class Event(Generic[P]):
    """A typed event as a class declares it.

    Args:
        declaration: the method that ``@event`` stands above.

    Raises:
        InvalidFlow: if one of its parameters is no single field.
    """

    def __init__(self, declaration: Callable[Concatenate[Any, P], None]) -> None:
        functools.update_wrapper(self, declaration)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportUnknownMemberType]
        signature = inspect.signature(declaration)
        parameters = list(signature.parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
                raise InvalidFlow(
                    f"the event {declaration.__qualname__} has the parameter {stars}{parameter.name}: "
                    "name each field, or emit `output`, which takes any"
                )
        self._signature = signature.replace(parameters=parameters)
        self.spec = EventSpec(declaration.__name__, tuple(self._signature.parameters))
        self.name = self.spec.name
        self.count = len(parameters)

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(self, instance: Emits, owner: type | None = None, /) -> BoundEvent[P]: ...

    def __get__(self, instance: Emits | None, owner: type | None = None, /) -> Self | BoundEvent[P]:
        return self if instance is None else BoundEvent(instance, self)

    # object: the fields' own types are checked where the event is called.
    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """Name what the event was called with, defaults included.

        Raises:
            TypeError: if it doesn't fit the declaration.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments


def event(declaration: Callable[Concatenate[S, P], None]) -> Event[P]:
    """Declare a typed event: calling it in a handler emits it.

    Args:
        declaration: its parameters are the event's fields; its body never runs.

    Returns:
        The event; as an attribute of a routine, something to call and to connect.

    Raises:
        InvalidFlow: if a parameter is no single field.
    """
    return Event(declaration)


def slots_of(cls: type) -> dict[str, tuple[SlotSpec, str]]:
    """Give a routine class's slots: name → (spec, name of the method).

    Raises:
        InvalidFlow: if a handler is a coroutine or generator function, or has parameters that no
            message can fill; or if two handlers are the same slot.
    """
    found: dict[str, tuple[SlotSpec, str]] = {}
    for method, function in _members(cls).items():
        if not inspect.isfunction(function):
            _refuse_unbound(cls, method, function)
            continue
        if method == PROCESS:
            name = INPUT_SLOT
        elif _is_marked(cls, method):
            name = method
        else:
            continue
        if name in found:
            raise InvalidFlow(
                f"{cls.__qualname__} has two slots {name!r}: `{PROCESS}` is that slot already, so "
                f"rename the method {INPUT_SLOT!r}"
            )
        found[name] = (_slot_spec(cls, name, function), method)
    return found


def slot_name(method: object) -> str | None:
    """Give the name of the slot that a bound method is; None if it is none."""
    name = getattr(method, "__name__", "")
    if name == PROCESS:
        return INPUT_SLOT
    owner: object = getattr(method, "__self__", None)
    return name if _is_marked(type(owner), name) else None


def _is_marked(cls: type, method: str) -> bool:
    """Tell whether a method is a slot; an override of one is, marked again or not."""
    return any(getattr(vars(base).get(method), SLOT_MARK, False) for base in cls.__mro__)


def _refuse_unbound(cls: type, method: str, member: object) -> None:
    if isinstance(member, (staticmethod, classmethod)) and (
        method == PROCESS or _is_marked(cls, method)
    ):
        kind = "staticmethod" if isinstance(member, staticmethod) else "classmethod"
        raise InvalidFlow(
            f"the handler {method!r} of {cls.__qualname__} is a {kind}: make it a plain method"
        )


def events_of(cls: type) -> tuple[EventSpec, ...]:
    """Give a routine class's events; ``output`` and ``failed`` always exist."""
    found = {
        OUTPUT_EVENT: EventSpec(OUTPUT_EVENT),
        FAILED_EVENT: EventSpec(FAILED_EVENT, ("slot", "data", "error")),
    }
    for port in _members(cls).values():
        if isinstance(port, Event):
            declared: EventSpec = port.spec
            if declared.name == FAILED_EVENT:
                raise InvalidFlow(
                    f"{cls.__qualname__} declares the event {FAILED_EVENT!r}, which always exists: "
                    "choose another name"
                )
            found[declared.name] = declared
    return tuple(found.values())


def _members(cls: type) -> dict[str, object]:
    """Collect what a class and its bases define, in order of definition."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        found.update(vars(base))
    return found


def _slot_spec(cls: type, name: str, function: Callable[..., object]) -> SlotSpec:
    title = f"the handler {function.__name__!r} of {cls.__qualname__}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidFlow(f"{title} is async, which isn't supported: make it a plain function")
    if inspect.isgeneratorfunction(function):
        raise InvalidFlow(
            f"{title} is a generator, which isn't supported: emit each value instead of yielding it"
        )
    required: list[str] = []
    optional: list[str] = []
    open_ = False
    parameters = list(inspect.signature(function).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ = True
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            raise InvalidFlow(
                f"{title} takes {parameter.name!r} by position only: fields arrive by name"
            )
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            wanted = required if parameter.default is parameter.empty else optional
            wanted.append(parameter.name)
    return SlotSpec(name, tuple(required), tuple(optional), open_)
