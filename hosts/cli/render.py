"""Documents as text for people: tables, with colours on a terminal only.

What routines wrote (errors, prompts, values) is shown on one line, without control characters.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

COLOURS = {
    "completed": "green", "failed": "red", "cancelled": "red", "blocked": "yellow",
    "paused": "yellow", "moving": "cyan", "moved": "cyan", "running": "blue", "queued": "blue",
}

NOT_DUE = {"cancelled": "never", "moved": "there"}
"""What is said of pending messages of a job with such a status."""


def status_text(status: str) -> str:
    """Colour a status, on a terminal (unless ``NO_COLOR`` is set, see no-color.org)."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return click.style(status, fg=COLOURS.get(status)) if coloured else status


def line_text(text: str, longest: int | None = None) -> str:
    """Write anybody's text on one line that can't disturb a terminal.

    Args:
        text: what a routine wrote.
        longest: characters that are shown; None for all.
    """
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
                    for letter in " ".join(text.split()))
    return clean if longest is None or len(clean) <= longest else clean[: longest - 1] + "…"


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Lay rows out in columns."""
    widths = [len(heading) for heading in headings]
    for row in rows:
        widths = [
            max(width, len(click.unstyle(cell))) for width, cell in zip(widths, row, strict=True)
        ]
    lines = [_line(headings, widths), *(_line(row, widths) for row in rows)]
    return "\n".join(lines)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cell + " " * (width - len(click.unstyle(cell)))
        for cell, width in zip(cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def jobs_text(jobs: list[dict[str, Any]]) -> str:
    """List jobs."""
    if not jobs:
        return "no jobs: start one with `sojourn submit MODULE:ATTR`"
    return table(
        ["JOB", "FLOW", "STATUS", "EPOCH", "CREATED", "NOTE"],
        [
            [
                job["job_id"], job["flow_id"], status_text(job["status"]), str(job["epoch"]),
                job["created_at"][:19], _note(job),
            ]
            for job in jobs
        ],
    )


def _note(job: dict[str, Any]) -> str:
    if job["moved_to"]:
        return f"on {job['moved_to']}"
    priority = job.get("priority")  # an older host doesn't tell
    notes = [f"priority {priority}"] if priority else []
    return ", ".join([*notes, *([line_text(job["reason"], 60)] if job["reason"] else [])])


def job_text(job: dict[str, Any]) -> str:
    """Show one job."""
    parts = [_head_text(job), _routines_text(job)]
    if job["pending"]:
        parts.append(_pending_text(job))
    if job["waiting"]:
        parts.append(_waiting_text(job))
    if job["history"]:
        parts.append(_history_text(job))
    if job["handoffs"]:
        parts.append(_handoffs_text(job["handoffs"]))
    return "\n\n".join(parts)


def _head_text(job: dict[str, Any]) -> str:
    where = f"to {job['moved_to']}" if job["moved_to"] else f"on {job['host']}"
    status = f"{status_text(job['status'])} {where}, epoch {job['epoch']}"
    if job.get("priority"):  # an older host doesn't tell
        status += f", priority {job['priority']}"
    lines = [f"job {job['job_id']} of flow {job['flow_id']}: {status}"]
    if job["reason"]:
        lines.append(f"reason: {line_text(job['reason'])}")
    if job["error"]:
        error = job["error"]
        lines.append(f"error: {line_text(_error_text(error))} (routine {error['routine']})")
    if job["status"] == "moving" and job["moved_to"]:
        lines.append(f"released to {job['moved_to']}, which has not said yet that it has it")
    elif job["moved_to"]:
        lines.append(f"ask there: sojourn show {job['job_id']} --host {job['moved_to']}")
    if job["result"]:
        lines.append(f"result: {json.dumps(job['result'])}")
    return "\n".join(lines)


def _error_text(error: dict[str, Any]) -> str:
    return f"{error['type']}: {error['message']}"


def _routines_text(job: dict[str, Any]) -> str:
    return table(
        ["ROUTINE", "SUCCEEDED", "FAILED", "SKIPPED", "RETRIES", "STATE"],
        [
            [
                name, str(entry["succeeded"]), str(entry["failed"]), str(entry["skipped"]),
                str(entry["retry_count"]), _short(entry["state"]),
            ]
            for name, entry in job["routines"].items()
        ],
    )


def _pending_text(job: dict[str, Any]) -> str:
    shown = job["pending"][:10]
    text = table(
        ["PENDING", "FOR", "ATTEMPTS", "DUE", "DATA"],
        [
            [
                str(entry["message"]), f"{entry['routine']}.{entry['slot']}", str(entry["attempts"]),
                _due(entry["due_in"], job["status"]), _short(entry["data"]),
            ]
            for entry in shown
        ],
    )
    rest = job["pending_total"] - len(shown)
    return f"{text}\n… and {rest} more" if rest > 0 else text


def _due(seconds: float | None, status: str) -> str:
    if status in NOT_DUE:
        return NOT_DUE[status]
    if seconds is None:
        return "after `sojourn retry`"
    return "now" if seconds == 0 else f"in {seconds:.1f} s"


def _waiting_text(job: dict[str, Any]) -> str:
    lines: list[str] = []
    for question in job["waiting"]:
        prompt = line_text(question["prompt"])
        lines.append(f"question {question['question']} of {question['routine']}: {prompt}")
        lines.append(
            f"  answer: sojourn resume {job['job_id']} --question {question['question']} "
            "--input '{…}'"
        )
    return "\n".join(lines)


def _history_text(job: dict[str, Any]) -> str:
    shown = job["history"]
    text = table(
        ["SEQ", "TURN", "ATTEMPT", "OUTCOME", "HOST", "ENDED", "ERROR"],
        [
            [
                str(entry["seq"]), f"{entry['routine']}.{entry['slot']} #{entry['message']}",
                str(entry["attempt"]), entry["outcome"], entry["host"], entry["ended_at"][11:23],
                line_text(_error_text(entry["error"]), 60) if entry["error"] else "",
            ]
            for entry in shown
        ],
    )
    total = job["history_total"]
    if len(shown) == total:
        return text
    return f"{text}\n{len(shown)} of {total} attempts: --history N [--after SEQ] shows others"


def _handoffs_text(handoffs: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"moved from {handoff_text(entry)}, epoch {entry['epoch']}{_phases_text(entry['phases_ms'])}"
        for entry in handoffs
    )


def _phases_text(phases: dict[str, float] | None) -> str:
    if not phases:
        return ""
    return f" (ms per phase: {', '.join(f'{name} {took:.1f}' for name, took in phases.items())})"


def handoff_text(entry: dict[str, Any]) -> str:
    """Say how a move went."""
    downtime = entry["downtime_ms"]
    took = "downtime unknown" if downtime is None else f"downtime {downtime:.1f} ms"
    return f"{entry['from']} to {entry['to']}: {took}, {size_text(entry['bytes'])}"


def size_text(count: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _short(value: Any) -> str:
    return line_text(", ".join(f"{key}={item!r}" for key, item in value.items()), 60)
