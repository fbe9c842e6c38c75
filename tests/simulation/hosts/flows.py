"""The flows that simulated hosts run, what their routines do, and what must come out of a job.

A routine here is a generator of what an attempt does: it works for a while, reaches checkpoints, ends or
fails. It knows its message's fields, the number of the attempt, and what is committed; nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import msgspec

from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    RoutineSpec,
    SlotSpec,
)
from sojourn.runtime.flow_document import flow_digest

RETRIES = 3
MAILBOX = "m"
NOTHING = msgpack.packb({"args": [], "kwargs": {}})
RETRY = HandlerSpec(
    ErrorStrategy.RETRY, max_retries=RETRIES, retry_delay=0.4, retry_backoff=2.0, jitter=0.0,
    on_exhausted=ErrorStrategy.SKIP,
)
BLOB_BYTES = 70_000


def unpacked(data: bytes) -> Any:
    """Decode what a routine here encoded."""
    return msgpack.unpackb(data)


class Effects(msgspec.Struct):
    """What a commit point of an attempt leaves behind."""

    emissions: list[tuple[str, dict[str, Any]]] = []
    attributes: dict[str, Any] = {}
    shared: list[tuple[str, int]] = []
    """(key, number to add)."""
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    blob: bytes | None = None
    """A large value for the attribute ``large``."""


class Work(msgspec.Struct):
    """Time passes."""

    seconds: float


class Reach(msgspec.Struct):
    """A checkpoint."""

    effects: Effects


class End(msgspec.Struct):
    """The attempt succeeds."""

    effects: Effects


class Fail(msgspec.Struct):
    """The attempt fails."""


class Die(msgspec.Struct):
    """The process dies by itself."""


Step = Work | Reach | End | Fail | Die


class View(msgspec.Struct):
    """What a handler sees."""

    fields: dict[str, Any]
    attempt: int
    progress: dict[str, Any]
    attributes: dict[str, Any]


def split(view: View) -> Iterator[Step]:
    """Emit the items of the input, some by some, with a checkpoint between."""
    items: list[dict[str, Any]] = view.fields["items"]
    sent: int = view.progress.get("sent", 0)
    while len(items) - sent > 3:
        yield Work(0.02)
        batch = items[sent : sent + 3]
        sent += 3
        yield Reach(Effects([("output", item) for item in batch], progress={"sent": sent}))
    yield Work(0.02)
    yield End(Effects([("output", item) for item in items[sent:]]))


def work(view: View) -> Iterator[Step]:
    """Work on an item, with checkpoints that each emit once; fail as often as the item says."""
    item = view.fields
    for number in range(view.progress.get("done", 0), item["checkpoints"]):
        yield Work(item["seconds"])
        yield Reach(
            Effects(
                [("output", {"value": 1})], {"reached": view.attributes.get("reached", 0) + 1},
                progress={"done": number + 1},
            )
        )
        view.attributes["reached"] = view.attributes.get("reached", 0) + 1
    yield Work(item["seconds"])
    if view.attempt <= item["fails"]:
        if item["how"] == "hangs":
            yield Work(1e6)
        yield Die() if item["how"] == "dies" else Fail()
    large = bytes([item["value"] % 251]) * BLOB_BYTES if item["large"] else None
    yield End(
        Effects(
            [("output", {"value": item["value"]})], {"done": view.attributes.get("done", 0) + 1},
            [("total", item["value"])], blob=large,
        )
    )


def gather(view: View) -> Iterator[Step]:
    """Add up."""
    yield Work(0.003)
    total = view.attributes.get("total", 0) + view.fields["value"]
    count = view.attributes.get("count", 0) + 1
    yield End(
        Effects(
            attributes={"total": total, "count": count}, shared=[("gathered", 1)],
            result={"total": total, "count": count},
        )
    )


BEHAVIOUR: dict[str, Callable[[View], Iterator[Step]]] = {
    "split": split, "work": work, "gather": gather,
}


def _routine(name: str, **options: Any) -> RoutineSpec:
    return RoutineSpec(
        name, f"steps:{name.title()}", NOTHING, (SlotSpec("input", open=True),), (EventSpec("output"),),
        **options,
    )


def make_flow(name: str, **options: Any) -> FlowSpec:
    """Make the flow split → work → gather; ``options`` are those of the routine ``work``."""
    return FlowSpec(
        name, "split",
        (_routine("split"), _routine("work", handler=RETRY, **options), _routine("gather")),
        (Connection("split", "output", "work", "input"), Connection("work", "output", "gather", "input")),
    )


FLOWS = (
    make_flow("plain"),
    make_flow("ordered", ordered=True),
    make_flow("parallel", parallel=True, processes=2),
    make_flow("hasty", grace=0.0),
    make_flow("timed", timeout=6.0),
)
DIGESTS = {flow_digest(flow): flow for flow in FLOWS}


class Expected(msgspec.Struct):
    """What must come out of a job."""

    result: dict[str, int]
    shared: dict[str, int]
    attributes: dict[tuple[str, str], int]
    finished: dict[int, int]
    """Value of an item → finished attempts at it."""
    skipped: int


def expected(items: list[dict[str, Any]]) -> Expected:
    """Work out what must come out of a job with these items, whatever happens to it."""
    succeed = [item for item in items if item["fails"] <= RETRIES]
    checkpoints = sum(item["checkpoints"] for item in items)
    total = sum(item["value"] for item in succeed)
    count = len(succeed) + checkpoints
    attributes = {
        ("work", "done"): len(succeed), ("work", "reached"): checkpoints,
        ("gather", "total"): total + checkpoints, ("gather", "count"): count,
    }
    sums = {"total": total + checkpoints, "count": count} if count else {}
    shared = {"total": total, "gathered": count}
    return Expected(
        sums,
        {key: value for key, value in shared.items() if value},
        {name: value for name, value in attributes.items() if value},
        {item["value"]: min(item["fails"] + 1, RETRIES + 1) for item in items},
        len(items) - len(succeed),
    )
