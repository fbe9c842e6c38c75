"""Every decoder of what comes from elsewhere, once: the list that is fuzzed, and what claims to be whole.

A decoder is a function from bytes. It may refuse, with the errors that its documentation names, and do
nothing else: no other error, no memory for a length that is only claimed, no time beyond its input.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
import zstandard

from sojourn.hosts.cli.common import read_input
from sojourn.hosts.pages import PageReader, leftover_pages
from sojourn.hosts.peers.checks import against_hello, against_introduction, is_address, is_key
from sojourn.hosts.peers.keys import pair_of
from sojourn.hosts.peers.tokens import PREFIX, Token, read_token, write_token
from sojourn.hosts.store.incarnation import read_incarnation
from sojourn.hosts.store.records import decode_record
from sojourn.runtime import shared, values, values_json
from sojourn.runtime.commands import check_fields
from sojourn.runtime.conditions import ConditionView, RoutineView, parse
from sojourn.runtime.document import JobState, Presentation, job_document
from sojourn.runtime.document_image import image_from_document
from sojourn.runtime.engine.book import merge_fields
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Adopt, Now, Whence
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.errors import (
    DocumentRefused,
    HostUnable,
    InvalidInput,
    StoreFailed,
    UsageError,
    ValueMalformed,
)
from sojourn.runtime.export import export_document, read_export
from sojourn.runtime.flow import decode_flow, encode_flow
from sojourn.runtime.flow_document import (
    canonical,
    flow_digest,
    flow_from_document,
    flow_to_document,
)
from sojourn.runtime.handoff.parts import (
    Part,
    decode_final,
    decode_part,
    encode_final,
    encode_part,
    image_of,
    part_of,
    problem_of,
)
from sojourn.runtime.handoff.stream import IncomingStream
from sojourn.runtime.job import HandoffRow, InviteRow, PeerRow
from sojourn.runtime.moved import moved_entry
from sojourn.runtime.progress_page import HEADER, PAGE_BYTES, RING_OFFSET, read_header, read_page
from sojourn.runtime.values_raw import is_dict
from sojourn.runtime.wire import actor, client, peer, zygote
from sojourn.runtime.wire.actor import SharedKind
from sojourn.runtime.wire.framing import Deframer, frame
from sojourn.runtime.wire.handoff import Chunk
from tests.runtime.job_images import BLOB, BLOB_DIGEST, FLOW, NOW, fields, make_failed_head, make_image
from tests.runtime.test_wire_golden import ENCODED
from tests.runtime.values_examples import packed

Kind = Literal["msgpack", "json", "text", "binary"]


@dataclass(frozen=True, repr=False)
class Decoder:
    """One decoder.

    Attributes:
        name: of the boundary that it stands at.
        decode: the shipped code.
        refusals: the errors that it is documented to raise.
        samples: what it accepts.
        kind: of what its input is made: how it is mutated.
        encode: gives the bytes of what was decoded; None where nothing encodes it.
        reads: ``folder/file.py:name`` of every place in the sources that turns bytes into values for it.
    """

    name: str
    decode: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    samples: tuple[bytes, ...]
    kind: Kind = "msgpack"
    encode: Callable[[Any], bytes] | None = None
    reads: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _golden(prefix: str, *words: str) -> tuple[bytes, ...]:
    names = [f"{prefix}.{word}" for word in words] or [name for name in ENCODED if name.startswith(prefix)]
    return tuple(ENCODED[name][0] for name in names)


# --- what decoders are asked with -----------------------------------------------------------------


def _hello(data: bytes) -> peer.PeerMessage:
    """A peer's message, and what a host asks of it before it believes it."""
    message = peer.decode(data)
    if isinstance(message, peer.Hello):
        against_hello(message)
        for text in (message.host, message.address or "", message.run):
            is_key(text)
            is_address(text)
    elif isinstance(message, (peer.Pair, peer.Paired)):
        against_introduction(message)
    return message


def _frame(messages: list[peer.PeerMessage]) -> bytes:
    return b"".join(peer.frames_of(messages))


def _deframe(data: bytes) -> list[bytes]:
    return Deframer().feed(data)


def _chunk(data: bytes) -> object:
    return IncomingStream().take(Chunk("m", 0, data, packed=True))


def _packed_chunk(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


class _Blobs:
    """Every blob is here, and all are the same."""

    def get(self, digest: str) -> bytes:
        return BLOB


def _value(data: bytes) -> object:
    return values.decode(data, blobs=_Blobs())


def _arrival(data: bytes) -> Part:
    """A part of a job as a target takes it: once it is let in, everything that follows must go well."""
    part = decode_part(data)
    problem = problem_of(part, {routine.id for routine in FLOW.routines}, ())
    if problem is not None:
        raise Refusal(problem)
    if part.final is None:
        return part
    image = image_of(part, part.final, encode_flow(FLOW))
    engine = Engine(Origins("b", {}), lambda: 0.5)
    plan = FlowPlan(flow_digest(FLOW), FLOW)
    round_ = engine.step([Adopt(1, image, plan, (0, 0), Whence.ELSEWHERE)], Now(NOW, 5.0))
    engine.step((), Now(NOW + 1e9, 5.0 + 1e9), round_)
    document = job_document(image, FLOW, Presentation("b", NOW, len(image.history)))
    json.dumps(document).encode()
    msgspec.msgpack.encode(part.final.head)
    return part


class Refusal(Exception):
    """A check of the shipped code said no, with a sentence."""


def _merge(data: bytes) -> bytes:
    """Every write of a shared map, of which the operand or what it meets comes from elsewhere."""
    found: list[bytes] = []
    for kind in (SharedKind.ADD, SharedKind.APPEND):
        for current, operand in ((None, data), (data, data), (packed(1), data), (packed([]), data)):
            try:
                found.append(shared.merge(current, kind, operand) or b"")
            except ValueMalformed:
                continue
    return b"".join(found)


def _result(data: bytes) -> bytes:
    return merge_fields(data, data) + merge_fields(None, data) + merge_fields(fields(a=1), data)


def _records(data: bytes) -> object:
    """A record as each table may hold it."""
    found: list[object] = []
    for kind in {type(record) for record in _RECORDS}:
        try:
            found.append(decode_record(kind, data))
        except msgspec.DecodeError:
            continue
    if not found:
        raise msgspec.DecodeError
    return found


def _fields(data: bytes) -> None:
    check_fields(data, FLOW.routines[0].slots[0], "the input")


def _from_json(data: bytes) -> bytes:
    return values_json.from_json(_parsed(data), where="value")


def _parsed(data: bytes) -> Any:
    """What a JSON document holds; whoever reads one refuses what is none before it comes further."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal from None


def _flow_document(data: bytes) -> Any:
    return flow_from_document(_parsed(data))


def _job_state(data: bytes) -> Any:
    return JobState.deserialize(_parsed(data))


def _job_image(data: bytes) -> Any:
    return image_from_document(_parsed(data), FLOW)


def _sealed(data: bytes) -> Any:
    """A file whose digest fits, whatever else it holds: what a paired host can write."""
    document = _parsed(data)
    if not is_dict(document):
        raise Refusal
    document.pop("digest", None)
    try:
        document["digest"] = "sha256:" + sha256(canonical(document)).hexdigest()
    except (ValueError, RecursionError):
        raise Refusal from None
    return read_export(json.dumps(document).encode())


def _export(data: bytes) -> Any:
    return read_export(data)


def _token(data: bytes) -> Token:
    return read_token(data.decode("utf-8", "surrogateescape"))


def _sealed_token(data: bytes) -> Token:
    """A token whose checksum fits."""
    body = data + sha256(data).digest()[:6]
    return read_token(PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("="))


def _body(data: bytes) -> object:
    """The body of an answer that another host gave, as whoever relays it reads it."""
    body = client.decode_body(data)
    if "jobs" in body:
        client.check_reply(client.Wait(["job"]), client.Reply(1, data))
        client.decode_waited(data)
        client.decode_documents(data)
    if "to" in body:
        client.check_reply(client.Migrate("job", "b"), client.Reply(1, data))
        moved_entry(body)
    asked = client.Request(1, "id", None, client.Logs("job"))
    client.encode(client.after_news(asked, body))
    return body


class _Routine:
    retry_count = succeeded = failed = skipped = pending = attempts = 2


class _Job:
    """A job that conditions are held against."""

    status = "running"
    epoch = pending = history = waiting = 1

    def routine(self, name: str) -> RoutineView | None:
        return _Routine() if name == "failing" else None

    def shared(self, key: str) -> object:
        return {"a": 1, "b": "text", "c": [1], "d": None}.get(key)


def _condition(data: bytes) -> bool:
    view: ConditionView = _Job()
    return parse(data.decode("utf-8", "replace")).holds(view)


def _text_input(data: bytes) -> bytes:
    return read_input(data.decode("utf-8", "surrogateescape"))


def _file(data: bytes, use: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return use(path)


def _page_file(data: bytes) -> object:
    def read(path: Path) -> object:
        reader = PageReader(path)
        try:
            return reader.read(), reader.glance(), leftover_pages(path.parent)
        finally:
            reader.close()

    return _file(data, read)


def _incarnation(data: bytes) -> int:
    number: int = _file(data, read_incarnation)
    return number


def _key(data: bytes) -> object:
    return pair_of(data.decode("ascii", "replace").strip(), "the key file")


def _flow(data: bytes) -> Any:
    """A flow as a target or a submit takes it: decoded, named by its digest, planned."""
    flow = decode_flow(data)
    FlowPlan(flow_digest(flow), flow)
    return flow


# --- samples ----------------------------------------------------------------------------------------

_IMAGE = make_image()
_EXPORT = export_document(_IMAGE, FLOW, host="a", now=0.0, blobs={BLOB_DIGEST: BLOB})
_EXPORTED = json.dumps(_EXPORT).encode()
_FAILED = make_image()
_FAILED.head = make_failed_head()
_PARTS = (encode_part(part_of(_IMAGE, 2)), encode_part(part_of(_FAILED, 2)), encode_part(Part()))
_FINALS = tuple(
    encode_final(final) for part in (part_of(_IMAGE, 2),) if (final := part.final) is not None
)
_RECORDS: tuple[msgspec.Struct, ...] = (
    _IMAGE.head, _FAILED.head, PeerRow("b", "k", None, "s", NOW), InviteRow("k", NOW),
    HandoffRow("m", "target", "staging", "job", "i", 1, "b", b"\x80", None),
)
_PLAIN: tuple[object, ...] = (
    None, True, 1, -1.5, "text", b"bytes", [1, [2, [3]]], {"a": {"b": 1}}, 1 << 60, {1: 2},
)
_VALUES = (
    *map(packed, _PLAIN),
    *(row.value for row in _IMAGE.attributes), *(row.value for row in _IMAGE.shared),
    fields(moment=Path("/a"), many={(1, 2), (3, 4)}, number=1 << 80, odd=complex(1, 2)),
)
_FIELDS = (fields(), fields(a=1, b="two"), _IMAGE.head.input)
_TOKEN = write_token(Token("a", "tcp://127.0.0.1:4000", "k" * 40, "s" * 40, NOW))
_PAGE = HEADER.pack(3, 2, 1, 1, 1, (2 << 24) | 1, NOW, 5.0).ljust(PAGE_BYTES, b"\0")

_FRAME = b"\x92" + ENCODED["peer.Ack"][0] + ENCODED["peer.ActorsStarted"][0]
DECODE_ERROR = (msgspec.DecodeError,)

DECODERS: Sequence[Decoder] = (
    Decoder("messages of peers", _hello, DECODE_ERROR, _golden("peer."), encode=peer.encode,
            reads=("runtime/wire/peer.py:_DECODER",)),
    Decoder("frames between hosts", peer.decode_all, DECODE_ERROR, (_FRAME,), encode=_frame,
            reads=("runtime/wire/peer.py:_FRAME",)),
    Decoder("messages to actor processes", actor.decode_to_actor, DECODE_ERROR, _golden("to_actor."),
            encode=actor.encode, reads=("runtime/wire/actor.py:_TO_ACTOR",)),
    Decoder("messages of actor processes", actor.decode_from_actor, DECODE_ERROR, _golden("from_actor."),
            encode=actor.encode, reads=("runtime/wire/actor.py:_FROM_ACTOR",)),
    Decoder("requests of clients", client.decode_request, DECODE_ERROR,
            tuple(data for name, (data, *_) in ENCODED.items() if name.startswith("client.")
                  and name not in ("client.Progress", "client.Reply", "client.Failure")),
            encode=client.encode, reads=("runtime/wire/client.py:_REQUEST",)),
    Decoder("answers of supervisors", client.decode_answer, DECODE_ERROR,
            _golden("client", "Progress", "Reply", "Failure"), encode=client.encode,
            reads=("runtime/wire/client.py:_ANSWER",)),
    Decoder("bodies of answers", _body, DECODE_ERROR,
            (b'{"lines": [{"seq": 3, "text": "x"}]}', b'{"jobs": [{}], "held": true}',
             b'{"job_id": "job", "from": "a", "to": "b", "epoch": 2, "bytes": 9, "phases_ms": null}'),
            "json", reads=("runtime/wire/client.py:_BODY", "runtime/wire/client.py:_DOCUMENTS")),
    Decoder("messages to zygotes", zygote.decode_to_zygote, DECODE_ERROR, _golden("to_zygote."),
            encode=zygote.encode, reads=("runtime/wire/zygote.py:_TO_ZYGOTE",)),
    Decoder("messages of zygotes", zygote.decode_from_zygote, DECODE_ERROR, _golden("from_zygote."),
            encode=zygote.encode, reads=("runtime/wire/zygote.py:_FROM_ZYGOTE",)),
    Decoder("frames on a stream", _deframe, (ValueError,), (frame(b"") + frame(b"abc"), b"\1\0"), "binary",
            reads=("runtime/wire/framing.py:feed",)),
    Decoder("packed chunks", _chunk, (ValueError,), (_packed_chunk(b"data" * 100), _packed_chunk(b"")),
            "binary", reads=("runtime/handoff/stream.py:take",)),
    Decoder("parts of a job", decode_part, DECODE_ERROR, _PARTS, encode=encode_part,
            reads=("runtime/handoff/parts.py:_PART",)),
    Decoder("the end of a copy", decode_final, DECODE_ERROR, _FINALS, encode=encode_final,
            reads=("runtime/handoff/parts.py:_FINAL",)),
    Decoder("jobs that arrive", _arrival, (*DECODE_ERROR, Refusal), _PARTS,
            reads=("runtime/document.py:_ERROR",)),
    Decoder("flows", _flow, (*DECODE_ERROR, ValueMalformed), (encode_flow(FLOW),), encode=encode_flow,
            reads=("runtime/flow.py:_FLOW",)),
    Decoder("values", _value, (ValueMalformed,), _VALUES,
            reads=("runtime/values_raw.py:parse", "runtime/values_raw.py:_require_complete")),
    Decoder("named values", values.decode_fields, (ValueMalformed,), _FIELDS),
    Decoder("references to blobs", values.blob_references, (ValueMalformed,), _VALUES),
    Decoder("values as JSON", values_json.to_json, (ValueMalformed,), _VALUES),
    Decoder("named values as JSON", values_json.fields_to_json, (ValueMalformed,), _FIELDS),
    Decoder("values from JSON", _from_json, (ValueMalformed, Refusal),
            tuple(json.dumps(values_json.to_json(value)).encode() for value in _VALUES), "json"),
    Decoder("fields of a job's result", _result, (), _FIELDS,
            reads=("runtime/engine/book.py:_FIELDS",)),
    Decoder("records of the store", _records, DECODE_ERROR,
            tuple(msgspec.msgpack.encode(record) for record in _RECORDS),
            reads=("hosts/store/records.py:_decoder",)),
    Decoder("operands of the shared map", _merge, (), (packed(1), packed(2.5), packed([1])),
            reads=("runtime/shared.py:_NUMBER", "runtime/shared.py:_LIST")),
    Decoder("fields for a slot", _fields, (InvalidInput,), (fields(url="x"), fields()),
            reads=("runtime/commands.py:_FIELDS",)),
    Decoder("documents of flows", _flow_document, (DocumentRefused, Refusal),
            (json.dumps(flow_to_document(FLOW)).encode(),), "json"),
    Decoder("documents of jobs", _job_state, (DocumentRefused, Refusal),
            (json.dumps(_EXPORT["job"]).encode(),), "json"),
    Decoder("texts of jobs", JobState, (DocumentRefused,), (json.dumps(_EXPORT["job"]).encode(),), "json",
            reads=(
                "runtime/job_state.py:_JOB", "runtime/job_state.py:_DOCUMENT",
                "runtime/job_state.py:_parsed",
            )),
    Decoder("jobs of documents", _job_image, (DocumentRefused, Refusal),
            (json.dumps(_EXPORT["job"]).encode(),), "json"),
    Decoder("export files", _export, (DocumentRefused,), (_EXPORTED,), "json",
            reads=("runtime/export.py:_parse",)),
    Decoder("export files with a digest that fits", _sealed, (DocumentRefused, Refusal), (_EXPORTED,),
            "json"),
    Decoder("tokens", _token, (InvalidInput,), (_TOKEN.encode(),), "text",
            reads=("hosts/peers/tokens.py:read_token",)),
    Decoder("tokens with a checksum that fits", _sealed_token, (InvalidInput,),
            (msgspec.msgpack.encode(Token("a", "tcp://h:1", "k" * 40, "s" * 40, NOW)),)),
    Decoder("progress pages", read_page, (ValueError,), (_PAGE,), "binary",
            reads=("runtime/progress_page.py:read_page", "runtime/progress_page.py:read_header")),
    Decoder("heads of progress pages", lambda data: read_header(data.ljust(RING_OFFSET, b"\0")), (),
            (_PAGE[:RING_OFFSET],), "binary"),
    Decoder("files of progress pages", _page_file, (), (_PAGE, b""), "binary"),
    Decoder("incarnation files", _incarnation, (StoreFailed,), (b"1", b"12345\n"), "text",
            reads=("hosts/store/incarnation.py:read_incarnation",)),
    Decoder("key files", _key, (HostUnable,), (b"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",), "text"),
    Decoder("conditions", _condition, (UsageError,),
            (b"failing.retry_count >= 2", b"not (status == 'paused' or shared.a != 1) and epoch < 2.5",
             b"shared.b < 1 and shared.c"), "text"),
    Decoder("--input", _text_input, (UsageError, ValueMalformed, InvalidInput),
            (b'{"a": [1, {"b": null}]}',), "json", reads=("hosts/cli/common.py:read_input",)),
)
