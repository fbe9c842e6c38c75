"""A start takes jobs up some at a time, and looks after processes in between."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import zmq

from sojourn.hosts.pages import create_page
from sojourn.hosts.store.protocol import StoredJob, UnreadableJob
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.doors import Came
from sojourn.hosts.supervisor.processes import ProcessEnd, ZygoteEnd
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.hosts.zygotes import Reception
from sojourn.runtime.flow import FlowSpec, RoutineSpec, SlotSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.progress_page import HEADER, RING_ENTRY, RING_OFFSET, pack_pair
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.zygote import ToZygote
from tests.hosts.store.rows import head, message, started

NOTHING = encode_fields({}, where="x")
LOAD = RoutineSpec("load", "m:Load", NOTHING, (SlotSpec("input", open=True),), ())
FLOW = FlowSpec("flow", "load", (LOAD,))


class Outside:
    """Doors and processes of a host with which nothing happens, and what is looked at there."""

    def __init__(self) -> None:
        self.events: list[str] = []

    # doors
    def from_actors(self) -> Iterator[Came]:
        self.events.append("looks")
        return iter(())

    def from_clients(self) -> Iterator[Came]:
        self.events.append("listens")
        return iter(())

    def to_actor(self, name: str, frame: bytes) -> str | None:
        return f"{name} isn't there, nor its {len(frame)} bytes"

    def to_client(self, client: bytes, frame: bytes) -> bool:
        return not (client and frame)

    def wait(
        self, seconds: float, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]
    ) -> None:
        self.events.append(f"waits {seconds} {sockets} {descriptors}")

    # processes
    def start_zygote(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float,
    ) -> ZygoteEnd:
        del python, paths, allow, alive_lock, import_timeout
        self.events.append(f"imports {' '.join(modules)}")
        return SilentZygote()

    def hold(self, name: str, pid: int, fds: list[int], page: Path) -> ProcessEnd:
        raise AssertionError((name, pid, fds, page))

    def close(self) -> None:
        self.events.append("closes")


class SilentZygote:
    """A zygote that never gets ready."""

    dead = False
    deadline = None

    def fileno(self) -> int:
        return -1

    def send(self, message: ToZygote) -> None:
        self.last = message

    def receive(self) -> list[Reception]:
        return []

    def expire(self, now: float) -> None:
        assert now

    def code_is_current(self, files: Sequence[tuple[str, str]]) -> bool:
        return not files

    def close(self) -> None:
        self.dead = True


def begin(core: Core, outside: Outside) -> Reactor:
    """Start a host of five jobs that takes up two at a time."""
    read_jobs = core.store.read_jobs

    def noted(
        rows: Sequence[int], pending: int | None = None
    ) -> Iterator[StoredJob | UnreadableJob]:
        outside.events.append(f"reads {list(rows)}")
        return read_jobs(rows, pending)

    digest = flow_digest(FLOW)
    for row in range(1, 6):
        writes = started(row, head(f"job-{row}", flow_digest=digest))
        writes.flows_put[digest] = encode_flow(FLOW)
        writes.messages_put = [message(row, 1)]
        core.store.commit(writes)
    core.store.read_jobs = noted  # type: ignore[method-assign]
    reactor = Reactor(core, outside, outside)
    reactor.taken_up_at_once = 2
    reactor.load_jobs()
    return reactor


def test_processes_are_looked_after_while_jobs_are_read_and_clients_only_when_all_are_there(
    core: Core,
) -> None:
    outside = Outside()
    reactor = begin(core, outside)

    assert outside.events == [
        "reads []", "reads [1, 2]", "imports m", "looks", "reads [3, 4]", "looks", "reads [5]", "looks",
    ]
    assert [core.engine.job(row) is not None for row in range(1, 6)] == [True] * 5

    reactor.react()
    assert "listens" in outside.events


def test_a_job_with_an_attempt_that_was_left_in_flight_is_taken_up_first(core: Core) -> None:
    page = create_page(core.home.pages, "load-1")
    what = pack_pair(4, 1), pack_pair(1, 1)
    descriptor = os.open(page, os.O_WRONLY)
    os.pwrite(descriptor, HEADER.pack(9, 0, 1, 4, 1, what[1], core.now.wall, 1.0), 0)
    os.pwrite(descriptor, RING_ENTRY.pack(9, *what), RING_OFFSET)
    os.close(descriptor)
    outside = Outside()
    begin(core, outside)

    assert outside.events[:2] == ["reads [4]", "imports m"]
    assert [entry.outcome for entry in core.store.history_after(4, 0, 10)] == [3]
    assert not page.exists()
    assert _rows_read(outside) == [4, 1, 2, 3, 5]


def _rows_read(outside: Outside) -> list[int]:
    found = (event.removeprefix("reads [").rstrip("]") for event in outside.events if "reads" in event)
    return [int(row) for rows in found for row in rows.split(", ") if row]
