"""From a flow's spec to a routine class that can run: import, check, decode its arguments.

The caller has checked that the module is allowed; this checks that the class is a Routine.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Set
from typing import NamedTuple

import msgspec

from sojourn.actors.classes import LoadedClasses, look_up
from sojourn.actors.ports import events_of, slots_of
from sojourn.actors.routine import NO_ARGUMENTS, Routine
from sojourn.runtime.errors import (
    AccessDenied,
    CodeNotLoadable,
    InvalidFlow,
    NotFound,
    ValueMalformed,
)
from sojourn.runtime.flow import FAILED_EVENT, FlowSpec, HandlerSpec, RoutineSpec, SlotSpec
from sojourn.runtime.values import Encoder, decode_fields


class Handler(NamedTuple):
    """A slot, and what its messages may hold.

    Attributes:
        method: name of the method.
        required: fields that a message must have.
        known: fields that it may have.
        open: whether it may have any others too.
    """

    method: str
    required: frozenset[str]
    known: frozenset[str]
    open: bool

    def takes(self, fields: Set[str]) -> bool:
        """Tell whether a message of these fields fits."""
        return fields >= self.required and (self.open or fields <= self.known)


class Outlet(NamedTuple):
    """An event that a handler may emit.

    Attributes:
        fields: of a typed event; None where any may be emitted.
        where: what its values belong to, in the sentence that says they can't be stored.
    """

    fields: frozenset[str] | None
    where: str


class LoadedRoutine(msgspec.Struct):
    """A routine, ready to run. What all its actors share is made once, here.

    Attributes:
        spec: as the flow has it.
        cls: its class.
        slots: slot → (its fields, name of the method).
        events: event → its fields, None where any may be emitted.
        handler: the error handler in force.
        retryable: exception classes that are retried.
        non_retryable: exception classes that aren't.
        retryable_unloaded: paths of retried ones whose modules nobody has imported so far: an exception
            that is raised later may be one of them.
        non_retryable_unloaded: the same of those that aren't.
        classes: resolves classes in values.
        handlers: slot → how it is called.
        outlets: event → how it is emitted, for those that handlers may emit.
        encoder: makes bytes of values.
    """

    spec: RoutineSpec
    cls: type[Routine]
    slots: dict[str, tuple[SlotSpec, str]]
    events: dict[str, tuple[str, ...] | None]
    handler: HandlerSpec
    retryable: tuple[type[BaseException], ...]
    non_retryable: tuple[type[BaseException], ...]
    classes: LoadedClasses
    retryable_unloaded: frozenset[str] = frozenset()
    non_retryable_unloaded: frozenset[str] = frozenset()
    handlers: dict[str, Handler] = {}
    outlets: dict[str, Outlet] = {}
    encoder: Encoder = msgspec.field(default_factory=Encoder)
    _sealed: dict[type[Routine], type[Routine]] = {}

    def __post_init__(self) -> None:
        self.handlers = {
            name: Handler(
                method, frozenset(spec.required), frozenset(spec.required + spec.optional), spec.open
            )
            for name, (spec, method) in self.slots.items()
        }
        self.outlets = {
            name: Outlet(None if fields is None else frozenset(fields), f"event {name!r}")
            for name, fields in self.events.items()
            if name != FAILED_EVENT
        }
        self.encoder = Encoder(self.classes)

    def construct(self) -> Routine:
        """Make an instance as the flow's author made it.

        The arguments are decoded anew each time: no two instances share a list or dict.

        Raises:
            ValueMalformed: if the arguments don't decode.
            Exception: whatever the constructor raises.
        """
        # Any: a constructor takes what its author likes.
        make: Callable[..., Routine] = self.cls
        if self.spec.arguments == NO_ARGUMENTS:
            return make()
        args, kwargs = _arguments(self.spec, self.classes)
        return make(*args, **kwargs)

    def seal(self, instance: Routine) -> None:
        """Make assigning a public attribute an error: turns of a parallel routine share no state."""
        cls = type(instance)
        if cls not in self._sealed:
            self._sealed[cls] = _sealed_class(cls)
        object.__setattr__(instance, "__class__", self._sealed[cls])


def _sealed_class(cls: type[Routine]) -> type[Routine]:
    """Derive a class whose instances refuse to have public attributes assigned or deleted."""

    def check(name: str) -> None:
        if name[0] != "_" and name not in cls.transient:
            raise AttributeError(
                f"{cls.__qualname__}.{name} can't be assigned in a turn of a parallel routine: keep "
                "what belongs to the message in self.progress, what belongs to the job in self.shared"
            )

    def assign(self: Routine, name: str, value: object) -> None:
        check(name)
        cls.__setattr__(self, name, value)

    def delete(self: Routine, name: str) -> None:
        check(name)
        cls.__delattr__(self, name)

    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls,), {**named, "__setattr__": assign, "__delattr__": delete})


def _arguments(
    spec: RoutineSpec, classes: LoadedClasses
) -> tuple[list[object], dict[str, object]]:
    title = f"the constructor arguments of routine {spec.id!r} don't decode"
    try:
        given = decode_fields(spec.arguments, classes)
    except ValueMalformed as error:
        raise ValueMalformed(f"{title}: {error.message}") from error
    args, kwargs = given.get("args"), given.get("kwargs")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueMalformed(f"{title}: they are no list and dict")
    return args, kwargs  # pyright: ignore[reportUnknownVariableType]


def import_module(name: str) -> None:
    """Import a module of a flow.

    Raises:
        NotFound: if there is none of that name.
        CodeNotLoadable: if importing it failed.
    """
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            paths = ", ".join(path or "." for path in sys.path[:3])
            raise NotFound(
                f"no module {name!r} on the import path ({paths}, …): start the supervisor with "
                "--path DIR where DIR holds it"
            ) from error
        raise CodeNotLoadable(f"importing {name} failed: {_last_line(error)}") from error
    except InvalidFlow as error:
        raise InvalidFlow(f"importing {name} failed: {error.message}") from error
    except Exception as error:
        raise CodeNotLoadable(f"importing {name} failed: {_last_line(error)}") from error
    except SystemExit as error:
        raise CodeNotLoadable(f"importing {name} ended with SystemExit: {error}") from error


def load_routine(flow: FlowSpec, routine_id: str, classes: LoadedClasses) -> LoadedRoutine:
    """Load a routine of a flow.

    Args:
        flow: the flow.
        routine_id: which of its routines.
        classes: resolves classes in values and error handlers.

    Raises:
        NotFound: if module, class or routine don't exist.
        CodeNotLoadable: if the import fails or the class no longer fits the flow.
        AccessDenied: if the class is no Routine.
    """
    spec = flow.routine(routine_id)
    if spec is None:
        raise NotFound(f"flow {flow.id!r} has no routine {routine_id!r}")
    module_name, _, qualname = spec.cls.partition(":")
    import_module(module_name)
    found: object = sys.modules[module_name]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise NotFound(f"module {module_name!r} has no class {qualname!r} (routine {routine_id!r})")
    if not isinstance(found, type) or not issubclass(found, Routine):
        raise AccessDenied(
            f"{spec.cls} is no Routine: routine {routine_id!r} of flow {flow.id!r} can't be run"
        )
    slots = slots_of(found)
    for slot in spec.slots:
        if slot.name not in slots:
            raise CodeNotLoadable(
                f"class {spec.cls} has no slot {slot.name!r} any more, which flow {flow.id!r} needs"
            )
    try:
        _arguments(spec, classes)
    except ValueMalformed as error:
        raise CodeNotLoadable(error.message) from error
    handler = flow.handler_for(spec)
    retryable, retryable_unloaded = _exceptions(handler.retryable_exceptions, classes, routine_id)
    others, others_unloaded = _exceptions(handler.non_retryable_exceptions, classes, routine_id)
    return LoadedRoutine(
        spec=spec,
        cls=found,
        slots=slots,
        events={event.name: event.fields for event in events_of(found)},
        handler=handler,
        retryable=retryable,
        non_retryable=others,
        classes=classes,
        retryable_unloaded=retryable_unloaded,
        non_retryable_unloaded=others_unloaded,
    )


def _exceptions(
    paths: tuple[str, ...], classes: LoadedClasses, routine_id: str
) -> tuple[tuple[type[BaseException], ...], frozenset[str]]:
    """Find the classes that an error handler names; those of modules that aren't loaded stay names."""
    found: list[type[BaseException]] = []
    unloaded: list[str] = []
    for path in paths:
        if path.partition(":")[0] not in sys.modules:
            unloaded.append(path)
            continue
        cls = classes.resolve(path) or _imported(path)
        if cls is None or not issubclass(cls, BaseException):
            raise CodeNotLoadable(
                f"the error handler of routine {routine_id!r} names {path}, which is no exception class "
                "here: name one that its module defines"
            )
        found.append(cls)
    return tuple(found), frozenset(unloaded)


def _imported(path: str) -> type | None:
    """Resolve an exception that the flow's modules have imported from elsewhere."""
    module_name, _, qualname = path.partition(":")
    return look_up(module_name, qualname)


def _last_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
