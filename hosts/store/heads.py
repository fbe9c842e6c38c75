"""Heads of jobs as they are in the store: a record, beside columns that must say the same.

What can't be read of one job concerns that job alone: it is still listed, and never run.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sojourn.hosts.store.records import decode_record
from sojourn.hosts.store.schema import unreadable
from sojourn.runtime.job import JobHead, JobStatus

ARRAY = struct.Struct(">BI")
"""How MessagePack begins an array: 0xdd and its length."""

NOTHING = b"\x80"
"""No fields, encoded."""


class UnreadableHead(msgspec.Struct, frozen=True):
    """What is known of a job whose record makes no sense.

    Attributes:
        job_id: its id.
        instance: its instance.
        created_at: when it was submitted.
        reason: what is wrong, for people.
    """

    job_id: str
    instance: str
    created_at: float
    reason: str

    def stand_in(self) -> JobHead:
        """Give a head for a list; it must never be written."""
        return JobHead(
            job_id=self.job_id, instance=self.instance, flow_id="?", flow_digest="", epoch=0,
            status=JobStatus.BLOCKED, created_at=self.created_at, input=NOTHING, reason=self.reason,
        )


def read_heads(path: Path, rows: Sequence[tuple[object, ...]]) -> list[JobHead | UnreadableHead]:
    """Read heads.

    Args:
        path: the store's file, for the sentence.
        rows: (record, job id, instance, status, ownership, created_at) of each, from the table.
    """
    try:
        heads = _decode_all([row[0] for row in rows])
    except msgspec.DecodeError:
        heads = []
    if [_columns(head) for head in heads] == [row[1:] for row in rows]:
        return [*heads]
    return [_read_head(path, row) for row in rows]


def _decode_all(records: Sequence[object]) -> list[JobHead]:
    """Read many records as one: an array is its length and then what is in it.

    Raises:
        msgspec.DecodeError: if one of them is damaged.
    """
    parts = [record for record in records if isinstance(record, bytes)]
    return decode_record(list[JobHead], b"".join([ARRAY.pack(0xDD, len(records)), *parts]))


def _columns(head: JobHead) -> tuple[object, ...]:
    return head.job_id, head.instance, head.status, head.ownership, head.created_at


def _read_head(path: Path, row: tuple[object, ...]) -> JobHead | UnreadableHead:
    """Find out of one by itself what is wrong with it, if anything."""
    data, job_id, instance, _status, _ownership, created_at = row
    try:
        head = decode_record(JobHead, data)
    except msgspec.DecodeError as error:
        wrong = str(error)
    else:
        if _columns(head) == row[1:]:
            return head
        wrong = "it isn't what the table says of the job"
    at = created_at if isinstance(created_at, float) else 0.0
    reason = unreadable(path, str(job_id), f"holds a record of it that can't be read ({wrong})").message
    return UnreadableHead(str(job_id), str(instance), at, reason)
