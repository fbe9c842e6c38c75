"""A job as a file: what comes back, and what is refused."""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.export import ReleaseTicket, export_document, read_export
from sojourn.runtime.flow_document import canonical
from sojourn.runtime.job import JobHead, JobImage, JobStatus
from tests.runtime.job_images import BLOB, BLOB_DIGEST, FLOW, NOW, make_failed_head, make_image

GOLDEN = Path(__file__).parent / "golden" / "export.json"
TICKET = ReleaseTicket("018bcfe5-0000-7000-8000-000000000001", 2, "store of b", "store of c")


def export(image: JobImage, *, now: float = 0.0, handoff: ReleaseTicket | None = None) -> dict[str, Any]:
    return export_document(
        image, FLOW, host="b", now=now, blobs={BLOB_DIGEST: BLOB}, handoff=handoff
    )


def as_bytes(document: object) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def sealed(document: dict[str, Any]) -> bytes:
    """Give a changed file a digest that fits, so that what lies behind it is looked at."""
    body = {name: part for name, part in document.items() if name != "digest"}
    return as_bytes({**body, "digest": "sha256:" + sha256(canonical(body)).hexdigest()})


def edited(*path: str | int, value: object) -> dict[str, Any]:
    document = copy.deepcopy(export(make_image(), handoff=TICKET))
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


# --- what comes back ------------------------------------------------------------------------


def test_a_file_is_exactly_the_stored_one() -> None:
    assert as_bytes(export(make_image(), handoff=TICKET)) == GOLDEN.read_bytes()


def test_the_stored_file_is_read_as_the_job_that_it_was_written_from() -> None:
    found = read_export(GOLDEN.read_bytes())

    assert found.flow == FLOW
    assert found.image == make_image()
    assert found.blobs == {BLOB_DIGEST: BLOB}
    assert found.handoff == TICKET
    assert found.host == "b"
    assert found.digest == json.loads(GOLDEN.read_bytes())["digest"]


@pytest.mark.parametrize("status", [status for status in JobStatus if status not in ("moving", "moved")])
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("cancelling", [True, False])
def test_a_job_comes_back_exactly_in_every_status(
    status: JobStatus, held: bool, cancelling: bool
) -> None:
    image = make_image()
    image.head.status = status
    image.head.held = held
    image.head.cancelling = cancelling
    image.head.hooks_delivered = 1

    assert read_export(as_bytes(export(image))).image == image


def test_a_failed_job_comes_back_exactly() -> None:
    image = make_image()
    image.head = make_failed_head()

    found = read_export(as_bytes(export(image)))

    assert found.image == image
    assert found.handoff is None


@pytest.mark.parametrize("result", [None, b"\x80"])
def test_an_empty_result_is_told_from_none(result: bytes | None) -> None:
    image = make_image()
    image.head.result = result

    assert read_export(as_bytes(export(image))).image.head.result == result


def test_a_job_without_any_row_comes_back() -> None:
    image = make_image()
    image.messages, image.history, image.attributes, image.shared = [], [], [], []
    image.questions, image.logs, image.blobs = [], [], []
    image.origins, image.counts = {}, {}
    file = export_document(image, FLOW, host="b", now=0.0, blobs={})

    assert read_export(as_bytes(file)).image == image


def test_what_remains_of_a_delay_travels_and_not_the_time_of_day() -> None:
    given = make_image()
    image = make_image()
    image.messages = [
        row._replace(due=NOW + row.due) if row.due else row for row in image.messages
    ]
    image.questions = [
        row if row.due is None else row._replace(due=NOW + row.due) for row in image.questions
    ]

    found = read_export(as_bytes(export(image, now=NOW))).image

    assert found.messages == given.messages
    assert found.questions == given.questions


def test_a_blob_that_no_value_names_any_more_travels_too() -> None:
    other = b"stale"
    name = sha256(other).hexdigest()
    file = export_document(
        make_image(), FLOW, host="b", now=0.0, blobs={BLOB_DIGEST: BLOB, name: other}
    )

    found = read_export(as_bytes(file))

    assert found.blobs == {BLOB_DIGEST: BLOB, name: other}
    assert [(row.digest, row.size) for row in found.image.blobs] == sorted(
        [(BLOB_DIGEST, len(BLOB)), (name, len(other))]
    )


def test_a_job_of_before_there_were_priorities_has_none() -> None:
    document = export(make_image())
    assert document["job"].pop("priority") == 2
    assert read_export(sealed(document)).image.head.priority == 0
    head = msgspec.to_builtins(make_image().head, builtin_types=(bytes,))
    assert head.pop("priority") == 2
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(head), type=JobHead).priority == 0


# --- what is refused ------------------------------------------------------------------------


@given(st.integers(min_value=0, max_value=len(GOLDEN.read_bytes()) - 3))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(DocumentRefused, match="truncated"):
        read_export(GOLDEN.read_bytes()[:length])


@pytest.mark.parametrize(
    "document",
    [
        edited("job", "pending", 0, "retry_count", value=0),
        edited("job", "engine", "held", value=False),
        edited("job", "history", 0, "host", value="c"),
        edited("flow", "id", value="other"),
        edited("blobs", value={}),
        edited("handoff", value=None),
        edited("handoff", "to_store", value="mine"),
        edited("extra", value=1),
        edited("digest", value="sha256:" + "0" * 64),
        edited("digest", value=None),
    ],
)
def test_an_edited_file_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentRefused, match="changed after it was written"):
        read_export(as_bytes(document))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (edited("format", value=2), "the file has format 2, this sojourn reads 1"),
        (edited("job", "format", value=2), "the job state has format 2, this sojourn reads 1"),
        (edited("flow", "format", value=2), "flow's document has format 2, this sojourn reads 1"),
    ],
)
def test_a_newer_format_is_refused_with_both_versions(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        read_export(sealed(document))


def test_a_newer_file_is_named_so_though_nothing_else_of_it_is_known() -> None:
    with pytest.raises(DocumentRefused, match="has format 7"):
        read_export(b'{"format": 7, "everything": "else"}')


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is no JSON"),
        (b"\x80\x02not json", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1, 2]", "must hold a JSON object"),
        (b"{}", "has no 'format'"),
        (b'{"format": 1}', "has no 'flow'"),
        (b'{"format": 1, "flow": 1, "job": 1, "blobs": 1, "handoff": 1}', "has no 'digest'"),
    ],
)
def test_what_is_no_export_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        read_export(data)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (edited("flow", value=None), "flow"),
        (edited("job", value=[]), "must be a JSON object"),
        (edited("job", "flow_digest", value="sha256:other"), "belongs to flow sha256:other"),
        (edited("job", "engine", "status", value="dancing"), "no export: .*dancing"),
        (edited("job", "engine", "next_message", value=-1), "no export: .*next_message"),
        (edited("job", "engine", "logs", value=[[1, "fetch"]]), "no export: .*logs"),
        (edited("job", "engine", value=None), "no export"),
        (edited("blobs", value=[]), "blobs of the file can't be read"),
        (edited("blobs", BLOB_DIGEST, value="!"), "blobs of the file can't be read"),
        (edited("blobs", BLOB_DIGEST, value="AAAA"), f"blob {BLOB_DIGEST} of the file doesn't match"),
        (edited("blobs", "../../etc/passwd", value="AAAA"), "doesn't match its digest"),
        (edited("blobs", value={}), f"blob {BLOB_DIGEST} of job demo-1 isn't with its state"),
        (edited("handoff", value={"m": "m"}), "no export: .*epoch"),
        (edited("handoff", "epoch", value=7), "hands over epoch 7 of job demo-1, but holds epoch 2"),
        (edited("job", "pending", 0, "slot", value="other"), "no slot 'other'"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        read_export(sealed(document))


def test_a_document_without_the_engines_part_is_still_read() -> None:
    document = export(make_image())
    del document["job"]["engine"]

    found = read_export(sealed(document)).image

    assert found.messages == make_image().messages
    assert found.logs == []


def test_the_ticket_is_written_as_the_file_format_says() -> None:
    assert export(make_image(), handoff=TICKET)["handoff"] == msgspec.to_builtins(TICKET)
    assert set(msgspec.to_builtins(TICKET)) == {"m", "epoch", "from_store", "to_store"}
    assert export(make_image())["handoff"] is None
