"""The routines of a flow under test: loaded as an actor process loads them, or replaced by doubles."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sojourn.actors.classes import AnyLoadedClass
from sojourn.actors.loading import LoadedRoutine, load_routine
from sojourn.actors.ports import events_of, slots_of
from sojourn.actors.routine import ARGUMENTS, Routine
from sojourn.runtime.errors import InvalidFlow, NotFound, ValueNotEncodable
from sojourn.runtime.flow import INPUT_SLOT, FlowSpec


def load_routines(flow: FlowSpec, doubles: Mapping[str, Routine]) -> dict[str, LoadedRoutine]:
    """Load every routine of a flow.

    Args:
        flow: the flow.
        doubles: routine → an instance of another class that stands in for it.

    Raises:
        NotFound: if a class, or the routine of a double, doesn't exist.
        CodeNotLoadable: if a class doesn't fit the flow.
        InvalidFlow: if a double lacks a slot that the flow feeds.
    """
    for name in doubles:
        if flow.routine(name) is None:
            known = ", ".join(routine.id for routine in flow.routines)
            raise NotFound(f"flow {flow.id!r} has no routine {name!r} to replace (it has {known})")
    classes = AnyLoadedClass()
    found: dict[str, LoadedRoutine] = {}
    for routine in flow.routines:
        loaded = load_routine(flow, routine.id, classes)
        double = doubles.get(routine.id)
        found[routine.id] = loaded if double is None else _stand_in(flow, loaded, double)
    return found


def _stand_in(flow: FlowSpec, loaded: LoadedRoutine, double: Routine) -> LoadedRoutine:
    """Put a double's class and arguments in place of a routine's; the flow's options stay."""
    cls = type(double)
    arguments: bytes | ValueNotEncodable = getattr(double, ARGUMENTS)
    if isinstance(arguments, ValueNotEncodable):
        raise arguments
    slots = slots_of(cls)
    for slot in _fed(flow, loaded.spec.id):
        if slot not in slots:
            raise InvalidFlow(
                f"{cls.__qualname__} can't stand in for routine {loaded.spec.id!r} of flow {flow.id!r}: it "
                f"has no slot {slot!r}, which the flow feeds"
            )
    return msgspec.structs.replace(
        loaded,
        spec=msgspec.structs.replace(loaded.spec, arguments=arguments),
        cls=cls,
        slots=slots,
        events={event.name: event.fields for event in events_of(cls)},
    )


def _fed(flow: FlowSpec, routine: str) -> list[str]:
    """Give the slots of a routine that something feeds."""
    fed = [link.slot for link in flow.connections if link.target == routine]
    fed += [hook.slot for hook in flow.when_idle if hook.routine == routine]
    return [*fed, INPUT_SLOT] if flow.entry == routine else fed
