"""Job documents as a supervisor tells them, for what reads them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def job_document(**changes: Any) -> Json:
    """Give a job's document; what is named differs."""
    document: Json = {
        "format": 1,
        "job_id": "job-1",
        "instance": "6f0d6e0c-0000-7000-8000-000000000001",
        "flow_id": "pipeline",
        "flow_digest": "sha256:" + "0" * 64,
        "host": "a",
        "epoch": 1,
        "moved_to": None,
        "status": "running",
        "reason": None,
        "input": {},
        "result": {},
        "shared": {},
        "created_at": "2026-01-02T03:04:05.000000Z",
        "finished_at": None,
        "error": None,
        "routines": {
            "failing": {"retry_count": 2, "succeeded": 0, "failed": 0, "skipped": 0, "state": {"tried": 2}}
        },
        "pending": [],
        "pending_total": 0,
        "waiting": [],
        "history": [],
        "history_total": 0,
        "handoffs": [],
    }
    return document | changes


def completed(**result: Any) -> Json:
    return job_document(status="completed", result=result, finished_at="2026-01-02T03:04:06.000000Z")


def failed() -> Json:
    error = {
        "type": "ValueError", "message": "no such page", "traceback": "Traceback …", "routine": "failing"
    }
    return job_document(status="failed", error=error, finished_at="2026-01-02T03:04:06.000000Z")


def pending(message: int, **changes: Any) -> Json:
    return {
        "message": message, "routine": "failing", "slot": "input", "data": {"n": message}, "attempts": 2,
        "retry_count": 2, "due_in": 0.31, "progress": {},
    } | changes


def attempt(seq: int, outcome: str = "succeeded", **changes: Any) -> Json:
    return {
        "seq": seq, "message": 2, "routine": "failing", "slot": "input", "attempt": seq,
        "outcome": outcome, "error": None, "host": "a", "epoch": 1, "code": "sha256:" + "1" * 64,
        "started_at": "2026-01-02T03:04:05.100000Z", "ended_at": "2026-01-02T03:04:05.200000Z",
    } | changes


def handoff(**changes: Any) -> Json:
    return {
        "from": "a", "to": "b", "epoch": 2, "bytes": 12_345,
        "phases_ms": {"precopy": 1.0, "freeze": 0.4, "delta": 0.5, "commit": 0.6, "activate": 1.1},
        "downtime_ms": 3.4,
    } | changes
