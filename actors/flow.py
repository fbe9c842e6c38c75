"""``Flow``: how an author puts routines together. Frozen at first use into a ``FlowSpec``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from math import inf
from typing import ParamSpec, TypeVar, overload

import msgspec

from sojourn.actors.errors_handling import ErrorHandler
from sojourn.actors.ports import BoundEvent, events_of, slot_name, slots_of
from sojourn.actors.routine import ARGUMENTS, FLOW, HANDLER, RESERVED, Routine
from sojourn.runtime.errors import DocumentRefused, FlowFrozen, InvalidFlow, ValueNotEncodable
from sojourn.runtime.flow import (
    INPUT_SLOT,
    MOST_PROCESSES,
    Connection,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    IdleHook,
    RoutineSpec,
    SlotSpec,
)
from sojourn.runtime.flow_document import flow_digest, flow_from_document, flow_to_document
from sojourn.runtime.values import class_path

R = TypeVar("R", bound=Routine)
P = ParamSpec("P")


class Flow:
    """A graph of routines.

    Args:
        id: its name.
        entry: routine that a job's input goes to; None for the one that nothing feeds.
        error_handler: for routines that have none of their own.

    Raises:
        InvalidFlow: if the name can't be one.
    """

    def __init__(
        self, id: str, *, entry: str | None = None, error_handler: ErrorHandler | None = None
    ) -> None:
        if not isinstance(id, str) or not id:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"a flow's id is a text, not {id!r}")
        if not id.isprintable():
            raise InvalidFlow(f"a flow's id is printable text in one line, not {id!r}")
        self.id = id
        self._entry = entry
        _handler(error_handler)
        self._handler = error_handler
        self._routines: dict[str, Routine] = {}
        self._specs: dict[str, RoutineSpec] = {}
        self._connections: list[Connection] = []
        self._hooks: list[IdleHook] = []
        self._frozen: FlowSpec | None = None

    def add_routine(
        self,
        routine: R,
        id: str,
        *,
        error_handler: ErrorHandler | None = None,
        processes: int = 1,
        parallel: bool = False,
        ordered: bool = False,
        timeout: float | None = None,
        grace: float | None = None,
    ) -> R:
        """Add a routine.

        Args:
            routine: an instance; its constructor's arguments become part of the flow.
            id: its name in the flow.
            error_handler: what happens when it fails; None for the flow's.
            processes: how many OS processes run it on a host.
            parallel: whether several turns of one job may run at once; attributes are then read-only.
            ordered: whether a message that waits for its retry holds back those behind it.
            timeout: seconds that one attempt may take.
            grace: seconds that a turn in flight is waited for at a hand-off, cancel or stop.

        Returns:
            The routine, for ``connect``.

        Raises:
            InvalidFlow: if it can't run as it is.
            FlowFrozen: if the flow was used already.
        """
        self._check_open()
        self._check_new(routine, id)
        _check_numbers(id, processes, timeout, grace)
        if parallel and ordered:
            raise InvalidFlow(
                f"routine {id!r} is both parallel and ordered: parallel turns have no order, drop one"
            )
        cls = type(routine)
        self._specs[id] = RoutineSpec(
            id=id,
            cls=class_path(cls),
            arguments=_arguments(routine, id),
            slots=tuple(spec for spec, _ in slots_of(cls).values()),
            events=events_of(cls),
            handler=_handler(error_handler),
            processes=processes,
            parallel=parallel,
            ordered=ordered,
            timeout=None if timeout is None else float(timeout),
            grace=None if grace is None else float(grace),
        )
        self._routines[id] = routine
        return routine

    @overload
    def connect(self, source: str, event: str, target: str, slot: str, /) -> None: ...

    @overload
    def connect(self, source: BoundEvent[P], event: Callable[P, None], /) -> None: ...

    def connect(
        self,
        source: str | BoundEvent[P],
        event: str | Callable[P, None],
        target: str | None = None,
        slot: str | None = None,
        /,
    ) -> None:
        """Let an event feed a slot: by four names, or by a bound event and a bound slot.

        Args:
            source: routine that emits, or its bound event.
            event: name of the event, or the bound slot.
            target: routine that is fed.
            slot: name of its slot.

        Raises:
            InvalidFlow: if there is no such routine, event or slot, or the fields don't fit.
            FlowFrozen: if the flow was used already.
        """
        self._check_open()
        if isinstance(source, str):
            if not (isinstance(event, str) and isinstance(target, str) and isinstance(slot, str)):
                raise InvalidFlow(
                    "connect takes four names (routine, event, routine, slot), or a bound event and "
                    "a bound slot"
                )
            link = Connection(source, event, target, slot)
        elif isinstance(event, str):
            raise InvalidFlow("connect takes four names, or a bound event and a bound slot, not a mix")
        else:
            link = Connection(*self._bound_event(source), *self._bound_slot(event))
        emitted = self._event(link.source, link.event)
        taken = self._slot(link.target, link.slot)
        _check_fields(link, emitted, taken)
        if link in self._connections:
            raise InvalidFlow(
                f"{link.source}.{link.event} feeds {link.target}.{link.slot} already: connect it once"
            )
        self._connections.append(link)

    def when_idle(self, routine: str, slot: str) -> None:
        """Deliver the counts ``{succeeded, skipped, failed}`` to a slot once the job is idle.

        Args:
            routine: routine that is fed.
            slot: name of its slot.

        Raises:
            InvalidFlow: if there is no such routine or slot, or it can't take the counts.
            FlowFrozen: if the flow was used already.
        """
        self._check_open()
        taken = self._slot(routine, slot)
        counts = EventSpec("when_idle", ("succeeded", "skipped", "failed"))
        _check_fields(Connection("the flow", "when_idle", routine, slot), counts, taken)
        self._hooks.append(IdleHook(routine, slot))

    def freeze(self) -> FlowSpec:
        """Freeze the flow and give its spec; the first use does so by itself.

        Raises:
            InvalidFlow: if it has no routine, or no single entry.
        """
        if self._frozen is None:
            entry = self._find_entry()
            for id, routine in self._routines.items():
                spec = self._specs[id]
                if spec.handler is None:
                    own: ErrorHandler | None = getattr(routine, HANDLER)
                    self._specs[id] = msgspec.structs.replace(spec, handler=_handler(own))
                object.__setattr__(routine, FLOW, self.id)
            self._frozen = FlowSpec(
                id=self.id,
                entry=entry,
                routines=tuple(self._specs.values()),
                connections=tuple(self._connections),
                when_idle=tuple(self._hooks),
                handler=_handler(self._handler),
            )
        return self._frozen

    @property
    def digest(self) -> str:
        """The flow's digest ``sha256:…`` over graph, handlers, import paths and arguments."""
        return flow_digest(self.freeze())

    def serialize(self) -> dict[str, object]:
        """Give the flow as a JSON-able document."""
        return flow_to_document(self.freeze())

    @classmethod
    def deserialize(cls, document: object) -> Flow:
        """Make a flow from its document; it is frozen.

        Raises:
            DocumentRefused: if it is no such document.
        """
        spec = flow_from_document(document)
        try:
            flow = cls(spec.id)
        except InvalidFlow as error:
            raise DocumentRefused(f"the document is no flow: {error.message}") from None
        flow._specs = {routine.id: routine for routine in spec.routines}
        flow._frozen = spec
        return flow

    def find_routines_by_type(self, cls: type[Routine]) -> list[str]:
        """Give the ids of routines of a class or its subclasses, in order of addition.

        Args:
            cls: a routine class.
        """
        paths = {class_path(found) for found in _family(cls)}
        return [spec.id for spec in self._specs.values() if spec.cls in paths]

    # --- checks -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._frozen is not None:
            raise FlowFrozen(
                f"flow {self.id!r} was used already and can't change: build it whole first, or make "
                "another Flow"
            )

    def _check_new(self, routine: Routine, id: str) -> None:
        if not isinstance(routine, Routine):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(
                f"routine {id!r} must be an instance of a class derived from Routine, not {routine!r}"
            )
        if not isinstance(id, str) or not id or not id.isidentifier():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"a routine's id must be an identifier like `load_pages`, not {id!r}")
        if id in self._specs:
            raise InvalidFlow(f"flow {self.id!r} has a routine {id!r} already: choose another id")
        if any(known is routine for known in self._routines.values()):
            raise InvalidFlow(f"this routine object is in the flow already: make another for {id!r}")
        cls = type(routine)
        if "<locals>" in cls.__qualname__:
            raise InvalidFlow(
                f"class {cls.__qualname__} is local to a function: an actor process can't import it; "
                "define it at the top level of a module"
            )
        if cls.__module__ == "__main__":
            raise InvalidFlow(
                f"class {cls.__qualname__} is defined in __main__: an actor process can't import it; "
                "move it to a module of its own"
            )
        if not slots_of(cls):
            raise InvalidFlow(
                f"{cls.__qualname__} has no slot: write a method `process`, or mark one with @slot"
            )
        clash = RESERVED & vars(routine).keys()
        if clash:
            raise InvalidFlow(
                f"{cls.__qualname__} has an attribute {min(clash)!r}, which every routine has already"
            )

    def _spec(self, routine: str) -> RoutineSpec:
        spec = self._specs.get(routine)
        if spec is None:
            raise InvalidFlow(
                f"flow {self.id!r} has no routine {routine!r}{_hint(routine, self._specs)}"
            )
        return spec

    def _event(self, routine: str, name: str) -> EventSpec:
        events = {event.name: event for event in self._spec(routine).events}
        if name not in events:
            raise InvalidFlow(
                f"routine {routine!r} has no event {name!r}{_hint(name, events)}: declare it with @event"
            )
        return events[name]

    def _slot(self, routine: str, name: str) -> SlotSpec:
        slots = {slot.name: slot for slot in self._spec(routine).slots}
        if name not in slots:
            raise InvalidFlow(
                f"routine {routine!r} has no slot {name!r}{_hint(name, slots)}: mark a method with @slot"
            )
        return slots[name]

    def _owner(self, port: object, owner: object, what: str) -> str:
        for id, routine in self._routines.items():
            if routine is owner:
                return id
        raise InvalidFlow(
            f"{port!r} is no {what} of a routine of flow {self.id!r}: add the routine first"
        )

    def _bound_event(self, port: object) -> tuple[str, str]:
        if not isinstance(port, BoundEvent):
            raise InvalidFlow(f"{port!r} is no event: declare it with @event")
        return self._owner(port, port.routine, "event"), port.spec.name

    def _bound_slot(self, port: object) -> tuple[str, str]:
        name = slot_name(port)
        if name is None:
            raise InvalidFlow(f"{port!r} is no slot: mark it with @slot")
        return self._owner(port, getattr(port, "__self__", None), "slot"), name

    def _find_entry(self) -> str:
        if not self._specs:
            raise InvalidFlow(f"flow {self.id!r} has no routine: add one with add_routine")
        entry = self._entry
        if entry is None:
            fed = {link.target for link in self._connections} | {h.routine for h in self._hooks}
            free = [id for id in self._specs if id not in fed]
            if len(free) != 1:
                which = ", ".join(free) if free else "none"
                raise InvalidFlow(
                    f"flow {self.id!r} needs one entry, but the routines that nothing feeds are: "
                    f"{which}; connect them, or name one with Flow(..., entry=)"
                )
            entry = free[0]
        self._slot(entry, INPUT_SLOT)
        return entry


def _family(cls: type[Routine]) -> Iterable[type[Routine]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (it has {', '.join(names)})" if names else ""


def _handler(given: ErrorHandler | None) -> HandlerSpec | None:
    if given is None:
        return None
    if not isinstance(given, ErrorHandler):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidFlow(f"error_handler takes an ErrorHandler, not {given!r}")
    return given.spec


def _check_numbers(id: str, processes: object, timeout: object, grace: object) -> None:
    if (
        isinstance(processes, bool)
        or not isinstance(processes, int)
        or not 1 <= processes <= MOST_PROCESSES
    ):
        raise InvalidFlow(
            f"routine {id!r}: processes must be a number from 1 to {MOST_PROCESSES}, not {processes!r}"
        )
    for name, seconds in (("timeout", timeout), ("grace", grace)):
        if seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
            raise InvalidFlow(f"routine {id!r}: {name} must be a number of seconds, not {seconds!r}")
    if timeout == 0:
        raise InvalidFlow(f"routine {id!r}: timeout must be more than 0 seconds, or None for no limit")


def _arguments(routine: Routine, id: str) -> bytes:
    recorded = getattr(routine, ARGUMENTS, None)
    if isinstance(recorded, ValueNotEncodable):
        raise InvalidFlow(f"routine {id!r}: {recorded.message}")
    if not isinstance(recorded, bytes):
        raise InvalidFlow(
            f"routine {id!r}: {type(routine).__qualname__} has a __new__ that doesn't call "
            "super().__new__ with the constructor's arguments"
        )
    return recorded


def _check_fields(link: Connection, emitted: EventSpec, taken: SlotSpec) -> None:
    if emitted.fields is None:
        return
    title = f"{link.source}.{link.event} can't feed {link.target}.{link.slot}"
    missing = [name for name in taken.required if name not in emitted.fields]
    if missing:
        raise InvalidFlow(f"{title}: the slot needs {missing[0]!r}, which the event doesn't have")
    if not taken.open:
        extra = [n for n in emitted.fields if n not in taken.required and n not in taken.optional]
        if extra:
            raise InvalidFlow(f"{title}: the slot takes no {extra[0]!r}")
