"""One host of the exploration: what it has on disk and in memory, and what of it a crash leaves.

The job is a small one: a message that fails again and again (its attempts are what must never be fewer or
doubled), and perhaps a blob. Does nothing by itself: see ``carrying`` and ``events``.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import NamedTuple

from sojourn.runtime.flow import FlowSpec, RoutineSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff.parts import Final, Part, encode_part
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.job import HandoffRow, JobHead, JobStatus, MessageRow, Ownership
from sojourn.runtime.wire.claims import Asking, Claims
from sojourn.runtime.wire.handoff import Abort, HandoffMessage, HandoffRefused
from tests.simulation.machines import Machines
from tests.simulation.pools import Pool

FLOW = FlowSpec("flow", "step", (RoutineSpec("step", "flows:Step", b"\x80", (), ()),))
ENCODED_FLOW = encode_flow(FLOW)
FLOW_DIGEST = flow_digest(FLOW)
BLOB = b"a value that is kept once"
BLOB_DIGEST = sha256(BLOB).hexdigest()
NOTHING_CAME = -1
EARLIER_RUN, THIS_RUN = 0, 1
"""Numbers of questions: an answer to one of an earlier run of its host settles no doubt."""

NOBODYS = ""
"""``HostState.holds`` of a host that never had the job."""


class Bounds(NamedTuple):
    """What makes the world finite.

    Attributes:
        moves: hand-offs that are begun, whoever begins them.
        failures: attempts of the message that fail.
        network: different messages on their way at a time, each of which may arrive any number of times or
            be lost; None where there is no bound, and everything that was ever sent may come at any time.
        items: what the job consists of, each a step of the pre-copy: "rows" and "blob".
        halves: whether a part travels in two chunks.
        hosts: how many there are.
        forces: doubts that operators end by force, each while every other host is down.
    """

    moves: int = 1
    failures: int = 1
    network: int | None = 1
    items: tuple[str, ...] = ("rows",)
    halves: bool = False
    hosts: int = 2
    forces: int = 0


class Leaving(NamedTuple):
    """A hand-off that gives the job away.

    Attributes:
        machine: number of its machine's state.
        items: what was not copied yet; None before the copy began.
        dirty: whether the message changed since it was copied.
        wanted: "more" or "final" where the machine waits for parts.
    """

    machine: int
    items: tuple[str, ...] | None = None
    dirty: bool = False
    wanted: str = ""


class Arriving(NamedTuple):
    """A hand-off that brings the job.

    Attributes:
        machine: number of its machine's state.
        doing: "inspect" or "activate" where the machine waits for the end of that.
    """

    machine: int
    doing: str = ""


class Doubt(NamedTuple):
    """Why the job isn't run.

    Attributes:
        m: the hand-off that gives rise to it.
        peer: host whose word would do; empty for none.
        for_ever: whether it is waited for without end.
        row: row of the job that isn't run; one that came anew has another.
    """

    m: str
    peer: str
    for_ever: bool
    row: int


class HostState(NamedTuple):
    """All that a host is at a moment; what comes after ``staged`` is lost in a crash.

    Attributes:
        up: whether its supervisor runs.
        holds: its ownership of the job.
        epoch: under which it knows the job; 0 for not at all.
        row: of the job in this host's store: another one each time that it comes.
        attempts: of the job's message, as committed.
        blob: whether the job's blob is on its disk.
        records: (role, m, number of the row) of its hand-offs.
        staged: (m, attempts) of what arrives, as far as it came.
        frozen: whether nothing of the job is handed out.
        executing: whether an attempt executes.
        leaving: by m.
        arriving: by m.
        doubts: why the job isn't run, or an earlier row of it.
    """

    up: bool
    holds: str
    epoch: int
    row: int
    attempts: int
    blob: bool
    records: tuple[tuple[str, str, int], ...] = ()
    staged: tuple[tuple[str, int], ...] = ()
    frozen: bool = False
    executing: bool = False
    leaving: tuple[tuple[str, Leaving], ...] = ()
    arriving: tuple[tuple[str, Arriving], ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def owns(self) -> bool:
        """Whether the job is its own."""
        return self.holds == Ownership.OWNED

    @property
    def runs(self) -> bool:
        """Whether a turn of the job executes here, or may begin."""
        return self.executing or self.may_begin

    @property
    def may_begin(self) -> bool:
        """Whether a turn of the job may begin."""
        return self.up and self.owns and not self.frozen and not self.withheld

    @property
    def withheld(self) -> bool:
        """Whether the job isn't run before a doubt about it is over."""
        return any(doubt.row == self.row for doubt in self.doubts)

    def crashed(self) -> HostState:
        """Give what its disk holds."""
        return HostState(
            False, self.holds, self.epoch, self.row, self.attempts, self.blob, self.records, self.staged
        )


Spoken = HandoffMessage | Asking | Claims


class Envelope(NamedTuple):
    """A message on its way."""

    to: str
    sender: str
    message: Spoken


class Shop(NamedTuple):
    """What all hosts share: everything that ever occurred, by number."""

    bounds: Bounds
    names: str
    machines: Machines
    rows: Pool[HandoffRow]
    wire: Pool[Envelope]

    def envelope(self, to: str, sender: str, message: Spoken) -> int:
        """Give the number of a message on its way; sentences for people are left out."""
        if isinstance(message, Abort):
            message = Abort(message.m, "")
        elif isinstance(message, HandoffRefused):
            message = HandoffRefused(message.m, message.kind, "")
        return self.wire.put(Envelope(to, sender, message))


@cache
def head_of(holds: str, epoch: int) -> JobHead | None:
    """Give what a host knows of the job."""
    if holds == NOBODYS:
        return None
    return JobHead(
        "job", "instance", "flow", FLOW_DIGEST, epoch, JobStatus.RUNNING, 0.0, b"\x80",
        Ownership(holds), handoffs=[],
    )


@cache
def rows_part(attempts: int) -> bytes:
    """Give the part with the job's message."""
    return encode_part(
        Part(messages=[MessageRow(0, 1, "step", "input", b"", attempts, attempts, 0.0, None)])
    )


@cache
def final_part(epoch: int) -> bytes:
    """Give the part that ends the copy."""
    head = head_of(Ownership.OWNED, epoch)
    assert head is not None
    return encode_part(Part(final=Final(head, {}, 0.0, 0)))


def pieces_of(data: bytes, *, halves: bool) -> list[Piece]:
    """Cut a part into the pieces that it travels in."""
    if not halves:
        return [Piece(data, None, True)]
    middle = len(data) // 2
    return [Piece(data[:middle], None, False), Piece(data[middle:], None, True)]


def first_state(name: str, owner: str) -> HostState:
    """Give a host at the beginning."""
    if name == owner:
        return HostState(True, Ownership.OWNED, 1, 0, 0, True)
    return HostState(True, NOBODYS, 0, 0, 0, False)


def row_of(m: str) -> int:
    """Give the row under which what comes by a hand-off is staged: one that no other has."""
    return int(m[1:])
