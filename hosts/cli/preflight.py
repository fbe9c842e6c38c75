"""What ``migrate --dry-run`` prints: what would speak against a move, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from sojourn.hosts.cli.common import Settings
from sojourn.hosts.cli.render import line_text, size_text, table
from sojourn.runtime.errors import SojournError, UsageError
from sojourn.runtime.handoff.survey import refusal
from sojourn.runtime.wire.client import DryRun, Jobs

Body = dict[str, Any]


def dry_run(settings: Settings, commands: Sequence[DryRun]) -> None:
    """Print what each move would meet; nothing moves.

    Args:
        settings: of the command.
        commands: one per job.

    Raises:
        SojournError: if one of them wouldn't move, after all were printed.
    """
    found: list[Body] = []
    errors: list[SojournError] = []
    for command in commands:
        try:
            found.append(settings.ask(command, job=command.job))
        except UsageError:
            raise
        except SojournError as error:
            errors.append(error)
    settings.print(found, lambda: "\n\n".join(map(preflight_text, found)))
    for body in found:
        reasons = [(reason["type"], reason["message"]) for reason in body["reasons"]]
        if reasons:
            errors.append(refusal(body["job_id"], body["from"], reasons))
    for other in errors[1:]:
        click.echo(f"error: {other.message}", err=True)
    if errors:
        raise errors[0]


def movable(settings: Settings) -> list[str]:
    """Name the jobs of a host that ``--all`` would move."""
    return [
        job["job_id"] for job in settings.ask(Jobs())["jobs"]
        if job["status"] in ("queued", "running", "paused", "blocked")
    ]


def preflight_text(body: Body) -> str:
    """Show one pre-flight as tables."""
    verdict = "would move" if body["would_move"] else "would NOT move"
    head = f"job {body['job_id']} {verdict} from {body['from']} to {body['to']} (nothing was moved)"
    rows = [[name, line_text(said)] for name, said in _checks(body)]
    return "\n\n".join((head, table(["CHECK", "FOUND"], rows), _actors(body)))


def _checks(body: Body) -> Iterator[tuple[str, str]]:
    for number, reason in enumerate(body["reasons"], 1):
        yield f"against it ({number})", reason["message"]
    pairing = body["pairing"]
    yield "pairing", f"key {pairing['key']}, {'connected' if pairing['connected'] else 'NOT connected'}"
    yield "versions", _versions(body["versions"])
    yield "code", _code(body["code"])
    disk = body["disk"]
    yield "disk there", "unknown" if disk is None else (
        f"{size_text(disk['needed_bytes'])} needed, {size_text(disk['free_bytes'])} free"
    )
    clock = body["clock"]
    yield "clock there", "unknown" if clock is None else (
        f"{clock['difference_ms']:+.1f} ms against this host's, ± {clock['error_ms']:.1f} ms"
    )
    yield "to send", _bytes(body["bytes"])
    yield from _downtime(body["downtime"])
    yield "wait for turns", f"up to {_seconds(body['wait_ms'])}"


def _versions(versions: Body) -> str:
    protocol = versions["protocol"]
    unknown = "none in common" if protocol["there"] else "unknown"
    used = unknown if protocol["used"] is None else str(protocol["used"])
    there = versions["sojourn"]["there"] or "unknown"
    return (
        f"protocol {used}, copy format {versions['copy_format']['here']}; "
        f"sojourn {versions['sojourn']['here']} here, {there} there"
    )


def _code(code: Body) -> str:
    if not code["compared"]:
        return "not compared"
    if not code["files"]:
        return f"the same in all of {len(code['routines'])} routines"
    allowed = ", which is allowed" if code["drift_allowed"] else ""
    return f"differs in {', '.join(code['files'])}{allowed}"


def _bytes(size: Body) -> str:
    return (
        f"{size_text(size['to_send'])}: about {size_text(size['rows'])} of rows, "
        f"{size_text(size['blobs'] - size['blobs_there'])} of {len(size['missing'])} blobs; "
        f"{len(size['held'])} blobs are there already ({size_text(size['blobs_there'])})"
    )


def _downtime(downtime: Body | None) -> Iterator[tuple[str, str]]:
    if downtime is None:
        yield "downtime", "unknown"
        return
    bound = "" if downtime["max_ms"] is None else f", {downtime['max_ms']:.1f} ms allowed"
    yield "downtime", f"about {downtime['estimated_ms']:.1f} ms{bound}"
    yield "  measured", (
        f"round trip {downtime['round_trip_ms']:.2f} ms, commit {downtime['fsync_here_ms']:.2f} ms here, "
        f"{downtime['fsync_there_ms']:.2f} ms there, "
        f"{size_text(downtime['changing_bytes_per_s'])}/s changing"
    )
    yield "  estimated by", downtime["how"]


def _actors(body: Body) -> str:
    code = {entry["routine"]: entry for entry in body["code"]["routines"]}
    return table(
        [
            "ACTOR", "CODE", "TURN IN FLIGHT", "SINCE", "TYPICAL TURN", "LAST CHECKPOINT", "GRACE",
            "WAIT UP TO",
        ],
        [
            [
                actor["routine"],
                _routine_code(body["code"], code.get(actor["routine"])),
                f"#{actor['message']}, attempt {actor['attempt']}" if actor["in_flight"] else "none",
                "" if actor["since"] is None else actor["since"][11:19],
                "unknown" if actor["typical_turn_ms"] is None else _seconds(actor["typical_turn_ms"]),
                _ago(actor["last_checkpoint_ms_ago"]),
                _seconds(actor["grace_ms"]), _seconds(actor["wait_ms"]),
            ]
            for actor in body["actors"]
        ],
    )


def _routine_code(code: Body, entry: Body | None) -> str:
    if entry is None or not code["compared"]:
        return "not compared"
    if not entry["differing"]:
        return f"same {entry['here'][7:15]}" if entry["here"] else "same"
    return f"differs in {', '.join(entry['differing'])}"


def _ago(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{_seconds(milliseconds)} ago"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
