"""A flow as a JSON document, and the digest that names it: both made from the spec alone."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import cast

import msgspec

from sojourn.runtime.errors import DocumentRefused, ValueMalformed
from sojourn.runtime.flow import INPUT_SLOT, FlowSpec, RoutineSpec, decode_flow
from sojourn.runtime.values_json import from_json, to_json

FORMAT = 1

REMEMBERED_FLOWS = 64
REMEMBERED_BYTES = 64 * 1024
"""How many encoded flows ``read_flow`` remembers, and how long one may be."""


def flow_to_document(spec: FlowSpec) -> dict[str, object]:
    """Give a flow as a JSON-able dict with a format version."""
    body: dict[str, object] = msgspec.to_builtins(spec)
    body["routines"] = [_routine_document(routine) for routine in spec.routines]
    return {"format": FORMAT, **body}


def flow_from_document(document: object) -> FlowSpec:
    """Read a flow's document.

    Raises:
        DocumentRefused: if it is of another version, no flow, or names parts that it doesn't have.
    """
    if not isinstance(document, dict):
        raise DocumentRefused("a flow's document must be a JSON object")
    body: dict[str, object] = dict(document)  # pyright: ignore[reportUnknownArgumentType]
    version = body.pop("format", None)
    if version != FORMAT:
        raise DocumentRefused(
            f"the flow's document has format {version!r}, this sojourn reads {FORMAT}: use the "
            "version that wrote it"
        )
    try:
        given = body["routines"]
        if not isinstance(given, list):
            raise DocumentRefused("a flow's routines must be a list")
        body["routines"] = [_routine_body(entry) for entry in cast(list[object], given)]
        spec = msgspec.convert(body, FlowSpec)
    except (msgspec.ValidationError, ValueMalformed, KeyError, TypeError, UnicodeEncodeError) as error:
        # Half of a surrogate pair is legal in JSON, but neither the store nor the wire can hold it.
        raise DocumentRefused(f"the document is no flow: {error}") from None
    fault = _fault(spec)
    if fault is not None:
        raise DocumentRefused(f"the flow's document doesn't hold together: {fault}")
    return spec


def flow_digest(spec: FlowSpec) -> str:
    """Name a flow: sha256 over canonical JSON of graph, handlers, import paths and arguments.

    The order in which routines were added doesn't count; the order of connections does, since
    emissions are delivered in it.

    Returns:
        ``sha256:`` and 64 hex digits.
    """
    document = flow_to_document(spec)
    ordered = sorted(spec.routines, key=lambda routine: routine.id)
    document["routines"] = [_routine_document(routine) for routine in ordered]
    return "sha256:" + sha256(canonical(document)).hexdigest()


def read_flow(data: bytes) -> tuple[FlowSpec, str]:
    """Decode a flow and name it by its digest; those of the last few bytes are remembered.

    A host that drains sends the same flow with every job.

    Raises:
        msgspec.DecodeError: if the bytes are no flow.
        ValueMalformed: if an argument in it is no value.
    """
    return _remembered(data) if len(data) <= REMEMBERED_BYTES else _read(data)


def _read(data: bytes) -> tuple[FlowSpec, str]:
    spec = decode_flow(data)
    return spec, flow_digest(spec)


_remembered = lru_cache(REMEMBERED_FLOWS)(_read)


def canonical(document: object) -> bytes:
    """Give a JSON-able value in its one canonical form: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _fault(spec: FlowSpec) -> str | None:
    """Find what a flow names but doesn't have."""
    ids = [routine.id for routine in spec.routines]
    if len(set(ids)) < len(ids):
        return "two of its routines have the same id"
    slots = {(routine.id, slot.name) for routine in spec.routines for slot in routine.slots}
    events = {(routine.id, event.name) for routine in spec.routines for event in routine.events}
    if (spec.entry, INPUT_SLOT) not in slots:
        return f"its entry {spec.entry!r} is no routine with a slot {INPUT_SLOT!r}"
    for link in spec.connections:
        if (link.source, link.event) not in events:
            return f"it connects {link.source}.{link.event}, which is no event of it"
        if (link.target, link.slot) not in slots:
            return f"it connects {link.target}.{link.slot}, which is no slot of it"
    for hook in spec.when_idle:
        if (hook.routine, hook.slot) not in slots:
            return f"it delivers to {hook.routine}.{hook.slot} when idle, which is no slot of it"
    return None


def _routine_document(routine: RoutineSpec) -> dict[str, object]:
    body: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(routine, arguments=b""))
    body["arguments"] = to_json(routine.arguments)
    return body


def _routine_body(entry: object) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise DocumentRefused("a routine of a flow's document must be a JSON object")
    body: dict[str, object] = dict(entry)  # pyright: ignore[reportUnknownArgumentType]
    body["arguments"] = from_json(body["arguments"], where="constructor arguments")
    return body
