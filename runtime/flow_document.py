"""A flow as a JSON document, and the digest that names it: both made from the spec alone."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec

from sojourn.runtime.errors import DocumentRefused, ValueMalformed
from sojourn.runtime.flow import FlowSpec, RoutineSpec
from sojourn.runtime.values_json import from_json, to_json

FORMAT = 1


def flow_to_document(spec: FlowSpec) -> dict[str, object]:
    """Give a flow as a JSON-able dict with a format version."""
    body: dict[str, object] = msgspec.to_builtins(spec)
    body["routines"] = [_routine_document(routine) for routine in spec.routines]
    return {"format": FORMAT, **body}


def flow_from_document(document: object) -> FlowSpec:
    """Read a flow's document.

    Raises:
        DocumentRefused: if it is of another version, or no flow.
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
        routines = body["routines"]
        if not isinstance(routines, list):
            raise DocumentRefused("a flow's routines must be a list")
        body["routines"] = [_routine_body(entry) for entry in routines]  # pyright: ignore[reportUnknownVariableType]
        return msgspec.convert(body, FlowSpec)
    except (msgspec.ValidationError, ValueMalformed, KeyError, TypeError) as error:
        raise DocumentRefused(f"the document is no flow: {error}") from None


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


def canonical(document: object) -> bytes:
    """Give a JSON-able value in its one canonical form: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


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
