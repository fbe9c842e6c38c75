"""What the parts of a supervisor share: store, engine, the round under way and what waits to be sent.

Every part changes the same round; nothing that it queues leaves before that round is on disk (G1).
Polls nothing and sends nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import structlog

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.protocol import Store, StoredJob, UnreadableJob
from sojourn.hosts.store.rows import problem_of_image
from sojourn.hosts.store.schema import unreadable
from sojourn.hosts.supervisor.nature import Nature
from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Adopt, Input, Round, Whence
from sojourn.runtime.engine.model import FlowPlan, Job, Origins
from sojourn.runtime.errors import AmbiguousName, JobUnreadable, NotFound
from sojourn.runtime.flow import FlowSpec, decode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import JobHead, LogRow, Ownership
from sojourn.runtime.wire.actor import ToActor
from sojourn.runtime.wire.client import Answer
from sojourn.runtime.wire.peer import Known, PeerMessage

MOST_PLANS = 1000
"""Flows that are remembered beside those of the jobs in memory: peers may ask for any number of them."""

NAMED_AT_ONCE = 4
"""Jobs that the refusal of an ambiguous prefix names."""


class Asker(NamedTuple):
    """Who waits for an answer: a client's connection, or a request relayed by a peer.

    Attributes:
        client: routing id of a local client; empty for a relayed request.
        peer: host that relayed; empty for a local client.
        relay: number of the relay.
        request: number of the request at its origin.
    """

    client: bytes
    peer: str
    relay: int
    request: int

    @property
    def from_peer(self) -> bool:
        """Whether a paired host relayed it; names that begin with ``#`` are this supervisor's own."""
        return self.peer[:1] not in ("", "#")


class ToProcess(NamedTuple):
    """A message for an actor process."""

    worker: str
    message: ToActor


class ToAsker(NamedTuple):
    """An answer for whoever asked."""

    asker: Asker
    answer: Answer


class ToPeer(NamedTuple):
    """A message for a peer; ``point`` names the crash points around its sending."""

    peer: str
    message: PeerMessage
    point: str = ""


Outgoing = ToProcess | ToAsker | ToPeer


class Core:
    """The shared state of one supervisor.

    Args:
        options: what ``up`` was asked for.
        home: where its things are.
        store: its open store.
        nature: its clocks, chance and work beside its rounds; None for this machine's.
        bounds: how much is kept in memory, and how much may wait; None for a host's own.
    """

    def __init__(
        self, options: UpOptions, home: Home, store: Store, nature: Nature | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        nature = nature or Nature()
        self.read_clocks = nature.clocks
        self.beside = nature.beside
        self.new_uuid = nature.new_uuid
        self.new_id = nature.new_id
        self.new_ids = nature.new_ids
        self.options = options
        self.home = home
        self.store = store
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger()
        self.engine = Engine(Origins(options.name, store.origins()), nature.chance.random, bounds)
        self.dispatcher = Dispatcher(self.engine.book)
        self.now = self.read_clocks()
        self.round = Round()
        self.outbox: list[Outgoing] = []
        self.stopping = False
        self.run = self.new_uuid()
        """Names this run of the supervisor among all that ever were."""
        self.knows_run: Callable[[Known], bool] = lambda _seen: True
        """Whether a run of this host that a peer speaks of was one."""
        self.moving: set[int] = set()
        """Rows of jobs that are said to be moving: from FREEZING to ACK."""
        self.withheld: dict[int, str] = {}
        """Rows of jobs that aren't run until their ownership is certain, and why."""
        self.cordoned = store.meta().get("cordoned") == "1"
        """Whether this host takes no new jobs."""
        self.unreadable: dict[int, str] = {}
        """Rows of jobs that can't be run because the store holds no sense of them, and what is wrong."""
        self.accepted = store.meta().get("accepted") == "1"
        """Whether an operator once accepted this store though it was put back from a copy."""
        self.gate_closed = False
        """Whether nothing is handed out yet: peers may know that this store was put back from a copy."""
        self.is_running: Callable[[int], bool] = lambda _row: False
        """Whether an attempt of a job executes now; the fleet knows."""
        self._plans: dict[str, FlowPlan] = {}
        self._rows: dict[str, int] = {}
        self._next_row = store.next_row()
        self._log_numbers: dict[int, int] = {}

    @property
    def host(self) -> str:
        """This host's name."""
        return self.options.name

    def apply(self, *inputs: Input) -> None:
        """Let things happen to jobs, within the round under way."""
        self.engine.step(inputs, self.now, self.round)

    def apply_all(self, inputs: Iterable[Input]) -> None:
        """The same for a batch."""
        self.engine.step(inputs, self.now, self.round)

    def send(self, message: Outgoing) -> None:
        """Queue a message until the round is on disk."""
        self.outbox.append(message)

    def fresh_round(self) -> Round:
        """Give the round that was under way and begin the next."""
        finished, self.round = self.round, Round()
        for row in finished.writes.jobs_removed:
            # Something was noted of it in the round in which its job came back under another row.
            finished.writes.heads.pop(row, None)
        return finished

    def new_row(self, job_id: str) -> int:
        """Give the row for a new job, or the one that this id ever had here."""
        found = self._rows.get(job_id)
        if found is None:
            known = self.store.by_job_id(job_id)
            found = known[0] if known is not None else self._next_row
            if known is None:
                self._next_row += 1
            self._rows[job_id] = found
        return found

    def fresh_row(self, job_id: str) -> int:
        """Give the row for a new job whose id was just made, so that no other has it."""
        row = self._rows[job_id] = self.staging_row()
        return row

    def staging_row(self) -> int:
        """Give a row that no job ever had, for a job that arrives."""
        row = self._next_row
        self._next_row += 1
        return row

    def reserve_row(self, row: int) -> None:
        """A row is in use though the store has no head for it: a job arrives there."""
        self._next_row = max(self._next_row, row + 1)

    def settle_at(self, job_id: str, row: int) -> int | None:
        """A job that arrived goes on under its new row; give the row that it had here before, if any."""
        known = self.head(job_id)
        self._rows[job_id] = row
        return None if known is None else known[0]

    def head(self, job_id: str) -> tuple[int, JobHead] | None:
        """Give row and head of a job by its whole id, the newest state of it."""
        row = self._rows.get(job_id)
        if row is not None:
            job = self.engine.job(row)
            if job is not None:
                return row, job.head
            pending = self.round.writes.heads.get(row)
            if pending is not None:
                return row, pending
        known = self.store.by_job_id(job_id)
        if known is None:
            return None
        job = self.engine.job(known[0])
        return known[0], job.head if job is not None else known[1]

    def find(self, name: str) -> tuple[int, JobHead]:
        """Give the job of an id or unique prefix.

        Raises:
            NotFound: if there is none.
            AmbiguousName: if a prefix names several.
        """
        exact = self.head(name)
        if exact is not None:
            return exact
        found = self.store.find(name) if name else []
        if not found:
            raise NotFound(
                f"no job {name!r} on host {self.host!r}: `sojourn jobs` lists the ones it knows"
            )
        if len(found) > 1:
            some = ", ".join(head.job_id for _, head in found[:NAMED_AT_ONCE])
            some += ", …" if len(found) > NAMED_AT_ONCE else ""
            raise AmbiguousName(
                f"{name!r} is the beginning of several jobs on host {self.host!r} ({some}): "
                "give more of the id"
            )
        row, head = found[0]
        job = self.engine.job(row)
        return row, job.head if job is not None else head

    def plan(self, digest: str, encoded: bytes | None = None) -> FlowPlan:
        """Give the plan of a flow that the store has, or that comes now.

        Raises:
            NotFound: if neither is so.
            JobUnreadable: if what the store has is damaged.
        """
        plan = self._plans.get(digest)
        if plan is None:
            spec = self._stored_flow(digest) if encoded is None else decode_flow(encoded)
            plan = FlowPlan(digest, spec)
            while len(self._plans) >= MOST_PLANS:
                del self._plans[next(iter(self._plans))]  # it is read again where it is needed
            self._plans[digest] = plan
        return plan

    def _stored_flow(self, digest: str) -> FlowSpec:
        encoded = self.store.flow(digest)
        if encoded is None:
            raise NotFound(f"the store of host {self.host!r} has no flow {digest}")
        try:
            spec = decode_flow(encoded)
        except msgspec.DecodeError as error:
            raise self._damaged_flow(digest, str(error)) from None
        if flow_digest(spec) != digest:
            raise self._damaged_flow(digest, "its digest doesn't match")
        return spec

    def _damaged_flow(self, digest: str, why: str) -> JobUnreadable:
        return JobUnreadable(
            f"the store {self.home.store} of host {self.host!r} holds a damaged flow {digest} ({why}): its "
            "jobs can't be run, others go on; put a copy of the store back, or submit them with other ids"
        )

    def load(self, row: int) -> Job | None:
        """Take a job of the store up into memory, if it isn't there."""
        job = self.engine.job(row)
        if job is None:
            self.apply(self.adoption(row))
            job = self.engine.job(row)
        return job

    def adoption(self, row: int) -> Adopt:
        """Read a job of the store for taking it up.

        Raises:
            NotFound: if there is none.
            JobUnreadable: if what the store holds of it makes no sense.
        """
        for stored in self.store.read_jobs([row], self._most()):
            return self._adoption(stored)
        raise NotFound(f"the store {self.home.store} has no job in row {row}")

    def adoptions(self, rows: Sequence[int]) -> Iterator[Adopt]:
        """Read jobs of the store for taking them up; those of which it holds no sense are noted instead."""
        for stored in self.store.read_jobs(rows, self._most()):
            try:
                yield self._adoption(stored)
            except JobUnreadable as error:
                self.unreadable[stored.row] = error.message
                self.log.error("job unreadable", reason=error.message)

    def _most(self) -> int:
        """Messages of a job that are read at once where it has very many."""
        return self.engine.book.mailboxes.bounds.mailbox

    def _adoption(self, stored: StoredJob | UnreadableJob) -> Adopt:
        if isinstance(stored, UnreadableJob):
            raise JobUnreadable(stored.reason)
        image = stored.image
        plan = self.plan(image.head.flow_digest)
        problem = problem_of_image(image, plan.routines)
        if problem is None and any(left.routine not in plan.routines for left in stored.stored):
            problem = "holds messages of it for a routine that its flow doesn't have"
        if problem is not None:
            raise unreadable(self.home.store, image.head.job_id, problem)
        self._rows[image.head.job_id] = stored.row
        return Adopt(stored.row, image, plan, stored.numbers, Whence.STORE, stored.stored)

    def held_back(self, row: int) -> str | None:
        """Say why a job isn't run though it is unfinished and this host's; None if it is."""
        return self.unreadable.get(row) or self.withheld.get(row)

    def add_log(
        self, row: int, routine: str, message: int, attempt: int, at: float, stream: str, text: str
    ) -> None:
        """Keep a line of a job's log."""
        number = self.last_log(row) + 1
        self._log_numbers[row] = number
        self.round.writes.logs.append(
            LogRow(row, number, routine, message, attempt, at, stream, text)
        )

    def last_log(self, row: int) -> int:
        """Give the number of the last line of a job's log, the round under way included; 0 for none."""
        number = self._log_numbers.get(row)
        if number is None:
            number = self._log_numbers[row] = self.store.last_numbers(row)[2]
        return number

    def renumber_logs(self, row: int, last: int) -> None:
        """Go on numbering a job's log after the lines that came with it."""
        self._log_numbers[row] = last

    def forget_rows(self, row: int, head: JobHead) -> None:
        """Delete a job; id, instance, epoch and where it went stay as its tombstone."""
        tombstone = JobHead(
            job_id=head.job_id, instance=head.instance, flow_id=head.flow_id,
            flow_digest=head.flow_digest, epoch=head.epoch, status=head.status,
            created_at=head.created_at, input=b"\x80", ownership=Ownership.FORGOTTEN,
            moved_to=head.moved_to, finished_at=head.finished_at, handoffs=[],
        )
        self.round.writes.jobs_cleared.append(row)
        self.round.writes.heads[row] = tombstone
        self._log_numbers.pop(row, None)

    def owned(self, name: str) -> tuple[int, JobHead]:
        """Give a job that this host owns.

        Raises:
            NotFound: if it was forgotten or isn't known.
        """
        row, head = self.find(name)
        if head.ownership is Ownership.FORGOTTEN and head.moved_to is None:
            raise NotFound(
                f"job {head.job_id} was forgotten on host {self.host!r}: only its id is kept"
            )
        return row, head

    def owned_rows(self, names: Sequence[str]) -> tuple[list[int], frozenset[int]]:
        """Give the rows of jobs as ``owned`` does, of many by few looks into the store.

        Returns:
            The rows, and those among them that are over by what is on disk, as far as that was seen.
        """
        rows: dict[str, int] = {}
        for name in names:
            row = self._rows.get(name)
            if row is not None and self.engine.job(row) is not None:
                rows[name] = row
        others = [name for name in names if name not in rows]
        over = self.store.ended(others) if len(others) > 1 else {}
        rows |= over
        found = [rows[name] if name in rows else self.owned(name)[0] for name in names]
        return found, frozenset(over.values())
