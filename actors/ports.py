"""Slots and events: the decorators that mark them, and what a class declares with them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sojourn.runtime.errors import InvalidFlow
from sojourn.runtime.flow import (
    FAILED_EVENT,
    INPUT_SLOT,
    OUTPUT_EVENT,
    EventSpec,
    SlotSpec,
)

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

SLOT_MARK = "__sojourn_slot__"
EVENT_MARK = "__sojourn_event__"
PROCESS = "process"
"""The method that is the slot ``input``."""


def slot(handler: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Mark a method as a slot: a named input of its routine.

    Args:
        handler: its parameters are the fields of the slot's messages.

    Returns:
        The same method.
    """
    setattr(handler, SLOT_MARK, True)
    return handler


def event(declaration: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Declare a typed event: calling the method in a handler emits it.

    Args:
        declaration: its parameters are the event's fields; its body never runs.

    Returns:
        A method that emits.

    Raises:
        InvalidFlow: if a parameter is no single field.
    """
    name = declaration.__name__
    signature = inspect.signature(declaration)
    fields = tuple(signature.parameters)[1:]
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise InvalidFlow(
                f"the event {declaration.__qualname__} has the parameter {stars}{parameter.name}: name "
                "each field, or emit `output`, which takes any"
            )

    @functools.wraps(declaration)
    def emit(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if args or len(kwargs) != len(fields):
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            data = {field: bound.arguments[field] for field in fields}
        else:
            data = dict(kwargs)
        self.emit(name, **data)  # type: ignore[attr-defined] # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]

    setattr(emit, EVENT_MARK, EventSpec(name, fields))
    return emit


def slots_of(cls: type) -> dict[str, tuple[SlotSpec, str]]:
    """Give a routine class's slots: name → (spec, name of the method).

    Raises:
        InvalidFlow: if a handler is a coroutine or generator function, or has parameters that no
            message can fill; or if two handlers are the same slot.
    """
    found: dict[str, tuple[SlotSpec, str]] = {}
    for method, function in _methods(cls).items():
        if method == PROCESS:
            name = INPUT_SLOT
        elif getattr(function, SLOT_MARK, False):
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


def events_of(cls: type) -> tuple[EventSpec, ...]:
    """Give a routine class's events; ``output`` and ``failed`` always exist."""
    found = {
        OUTPUT_EVENT: EventSpec(OUTPUT_EVENT),
        FAILED_EVENT: EventSpec(FAILED_EVENT, ("slot", "data", "error")),
    }
    for function in _methods(cls).values():
        declared = getattr(function, EVENT_MARK, None)
        if isinstance(declared, EventSpec):
            if declared.name == FAILED_EVENT:
                raise InvalidFlow(
                    f"{cls.__qualname__} declares the event {FAILED_EVENT!r}, which always exists: "
                    "choose another name"
                )
            found[declared.name] = declared
    return tuple(found.values())


def _methods(cls: type) -> dict[str, Callable[..., object]]:
    """Collect the plain methods of a class and its bases, in order of definition."""
    found: dict[str, Callable[..., object]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if inspect.isfunction(value):
                found[name] = value
            else:
                found.pop(name, None)
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
