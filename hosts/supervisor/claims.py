"""Asking other hosts what they hold, and giving way: before a job runs whose ownership isn't certain.

After a start, a job is withheld where a hand-off was open when this host went down, or where its whole
store was put back from a copy: until a peer has said what it holds (see ``runtime.handoff.claims`` for the
rule). At every reconnect hosts compare the jobs that went between them. Runs nothing and moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from sojourn.hosts.supervisor.core import Core, ToPeer
from sojourn.runtime.engine.inputs import Block, Drop, Freeze, RetryJob, Thaw
from sojourn.runtime.errors import JobUnreadable, StoreFailed
from sojourn.runtime.handoff.claims import ARRIVING, Judgement, claim_of, claims_of, judge, reached
from sojourn.runtime.job import JobHead, JobStatus, Ownership, Writes
from sojourn.runtime.wire.claims import AT_ONCE, Asking, Claim, Claims
from sojourn.runtime.wire.peer import Known

PATIENCE = 5.0
"""Seconds that a host is waited for whose answer is wanted but not needed."""

GATE_SECONDS = 1.0
"""Seconds that a start waits for the HELLO of paired hosts."""

UNASKED = 0
"""Number of claims that settle no doubt, whatever they say."""


class Doubt(msgspec.Struct, eq=False):
    """Why a job isn't run yet; a job may have several.

    Attributes:
        about: the hand-off that gives rise to it; empty for none.
        reason: for people.
        peers: hosts whose word is waited for.
        until: monotonic seconds at which it is run without it; None for never.
        then: what is done when its peers have said that they have nothing of the job.
    """

    about: str
    reason: str
    peers: set[str]
    until: float | None
    then: Callable[[], None] | None = None


class Question(msgspec.Struct):
    """What peers were asked for someone who waits, and what they said."""

    waiting: set[str]
    until: float
    done: Callable[[list[tuple[str, Claim]], set[str]], None]
    claims: list[tuple[str, Claim]] = []


class Contests:
    """Everything that isn't certain, and how it becomes so.

    Args:
        core: shared state.
        connected: whether a peer can be reached.
        arriving: whether a job id is being handed over to this host.
        acknowledge: tells a hand-off away from here that its target owns the job: (instance, epoch).
    """

    def __init__(
        self, core: Core, connected: Callable[[str], bool], arriving: Callable[[str], bool],
        acknowledge: Callable[[str, int], bool],
    ) -> None:
        self._core = core
        self._connected = connected
        self._arriving = arriving
        self._acknowledge = acknowledge
        self._doubts: dict[int, list[Doubt]] = {}
        self._outlived: dict[int, int] = {}
        """Row → epoch that its job came to on this host, and of which this store knows nothing."""
        self._ask_again: float | None = None
        """Monotonic seconds at which a peer that may yet come to own a job is asked once more."""
        self._questions: dict[int, Question] = {}
        self._this_run = core.store.incarnation << 32
        """Number of the questions at a reconnect: an answer to one of an earlier run says nothing now."""
        self._next = self._this_run + 1
        self._unheard: set[str] = set()
        self._gate_until = 0.0
        self._seen: dict[int, int] = {}
        """Row of a job that is elsewhere → epoch to which its line of owners is known."""

    # --- withholding ------------------------------------------------------------------------------

    def withhold(
        self, row: int, about: str, peers: set[str], reason: str, *, patience: float | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Don't run a job until hosts have said what they hold.

        Args:
            row: its row.
            about: the hand-off that gives rise to the doubt; empty for none.
            peers: whom to ask.
            reason: for people.
            patience: seconds after which it runs all the same; None for never.
            then: called when its peers have said that they have nothing of the job.
        """
        until = None if patience is None else self._core.read_clocks().monotonic + patience
        self._doubts.setdefault(row, []).append(Doubt(about, reason, set(peers), until, then))
        self._core.withheld[row] = reason
        self._core.apply(Freeze(row))

    def settled(self, row: int, about: str) -> None:
        """The doubts that a hand-off gave rise to are over."""
        for doubt in [doubt for doubt in self._doubts.get(row, ()) if doubt.about == about]:
            self._lift(row, doubt)

    def _lift(self, row: int, doubt: Doubt, *, heard: bool = True) -> None:
        """Drop a doubt; with its last one, a job is run."""
        left = self._doubts[row]
        left.remove(doubt)
        if left:
            self._core.withheld[row] = left[-1].reason
        else:
            self._stop_withholding(row)
            self._outlive(row)
            self._core.apply(Thaw(row))
        if heard and doubt.then is not None:
            doubt.then()

    def _outlive(self, row: int) -> None:
        """What is run from a copy is later than all that anybody knows of the job."""
        epoch = self._outlived.pop(row, None)
        job = self._core.engine.job(row)
        if epoch is not None and job is not None:
            self._core.log.warning("goes on from a copy", job=job.head.job_id, epoch=epoch + 1)
            job.head.epoch = epoch + 1
            self._core.engine.book.save(job, self._core.round)

    def _stop_withholding(self, row: int) -> list[Doubt]:
        self._core.withheld.pop(row, None)
        return self._doubts.pop(row, [])

    def _every_doubt(self) -> list[tuple[int, Doubt]]:
        return [(row, doubt) for row, doubts in self._doubts.items() for doubt in doubts]

    def _heard_of(self, peer: str, arriving: set[str]) -> None:
        """A peer said what it holds: jobs that waited for it alone are run.

        Args:
            peer: who said so.
            arriving: ids of the jobs that are, by its word, in doubt there.
        """
        for row, doubt in self._every_doubt():
            if peer not in doubt.peers:
                continue
            job = self._core.engine.job(row)
            arrives = job is not None and job.head.job_id in arriving
            if job is not None and arrives and not doubt.about:
                self._may_yet_own(row, job.head.job_id, peer)
                continue
            doubt.peers.discard(peer)
            if not doubt.peers:
                self._lift(row, doubt, heard=not arrives)

    def _may_yet_own(self, row: int, job_id: str, peer: str) -> None:
        """A COMMIT that this host sent before its store was put back may still reach a peer in doubt."""
        self._core.withheld[row] = (
            f"the store of host {self._core.host!r} was put back from a copy, and a hand-off to host "
            f"{peer!r} was under way: `sojourn handoff resolve {job_id} --force accept` there runs the job "
            "there, `sojourn up --accept-restored-store` here runs it here"
        )
        self._ask_again = self._core.read_clocks().monotonic + PATIENCE

    def tick(self, now: float) -> float | None:
        """Do what is due; give when to be called again (monotonic seconds)."""
        for row, doubt in self._every_doubt():
            if doubt.until is not None and doubt.until <= now:
                self._lift(row, doubt, heard=False)
        for number, question in list(self._questions.items()):
            if question.until <= now:
                self._answered(number)
        if self._core.gate_closed and now >= self._gate_until:
            self._core.gate_closed = False
        if self._ask_again is not None and self._ask_again <= now:
            self._ask_again = None
            for peer in {peer for _, doubt in self._every_doubt() for peer in doubt.peers}:
                if self._connected(peer):
                    self.link_up(peer)
        times = [doubt.until for _, doubt in self._every_doubt() if doubt.until is not None]
        times.extend(question.until for question in self._questions.values())
        if self._ask_again is not None:
            times.append(self._ask_again)
        if self._core.gate_closed:
            times.append(self._gate_until)
        return min(times, default=None)

    def close_gate(self, peers: set[str]) -> None:
        """Hand nothing out until every paired host has said HELLO, or has had a moment to.

        One of them may know that this store was put back from a copy (see ``heard_hello``).
        """
        self._unheard = set(peers)
        self._gate_until = self._core.read_clocks().monotonic + GATE_SECONDS
        self._core.gate_closed = bool(peers)

    def withhold_restored(self, rows: Iterable[int], peers: set[str]) -> None:
        """This store was put back from a copy: run nothing that a peer may own."""
        host = self._core.host
        for row in rows if peers else ():
            self.withhold(
                row, "", peers,
                f"the store of host {host!r} was put back from a copy, and {', '.join(sorted(peers))} may "
                "have the job: it goes on when all of them have answered; "
                "`sojourn up --accept-restored-store` runs it without their word",
            )

    def heard_hello(self, peer: str, knows_you: Known | None) -> None:
        """A peer said HELLO, and which run of this host it knows of.

        Raises:
            StoreFailed: if it knows one that the store doesn't: the store was put back from a copy.
        """
        store = self._core.store
        if knows_you is not None and self._was_put_back(knows_you):
            writes = Writes()
            writes.meta_put = {
                "restored": "1", "store_id": self._core.new_uuid(),
                "incarnation": str(knows_you.incarnation),
            }
            store.commit(writes)
            raise StoreFailed(
                f"the store of host {self._core.host!r} was put back from a copy: host {peer!r} knows a "
                "later run of it. Nothing more is run. Start it again with `sojourn up`: it asks its peers "
                "what became of its jobs before it runs them"
            )
        self._unheard.discard(peer)
        if not self._unheard:
            self._core.gate_closed = False

    def _was_put_back(self, seen: Known) -> bool:
        """Whether a peer has seen a run of this very store that is later than this one, or beside it."""
        store = self._core.store
        if seen.store_id != store.store_id:
            return False
        if not self._core.knows_run(seen):
            self._core.log.warning("a run of this host is made up", incarnation=seen.incarnation)
            return False
        beside = seen.incarnation == store.incarnation and seen.run not in ("", self._core.run)
        return seen.incarnation > store.incarnation or beside

    def waiting_for(self, peer: str) -> list[str]:
        """Name the jobs that aren't run before a host has said what it holds."""
        rows = {row for row, doubt in self._every_doubt() if peer in doubt.peers and doubt.until is None}
        jobs = (self._core.engine.job(row) for row in rows)
        return [job.head.job_id for job in jobs if job is not None]

    # --- asking -----------------------------------------------------------------------------------

    def link_up(self, peer: str) -> None:
        """A peer can be reached: compare what went between us."""
        jobs = self._concerning(peer)
        for start in range(0, max(1, len(jobs)), AT_ONCE):
            last = start + AT_ONCE >= len(jobs)  # only the answer to the last says that all is said
            self._ask(peer, self._this_run if last else UNASKED, jobs[start : start + AT_ONCE])

    def _ask(self, peer: str, number: int, jobs: list[str]) -> None:
        self._core.send(ToPeer(peer, Asking(number, jobs)))

    def ask_all(
        self, job_id: str, peers: set[str],
        done: Callable[[list[tuple[str, Claim]], set[str]], None],
    ) -> None:
        """Ask every reachable peer for one job.

        Args:
            job_id: the job.
            peers: all paired hosts.
            done: called with what they said, and with those who didn't answer.
        """
        reachable = {peer for peer in peers if self._connected(peer)}
        number = self._next
        self._next += 1
        until = self._core.read_clocks().monotonic + PATIENCE
        self._questions[number] = Question(reachable, until, done)
        for peer in sorted(reachable):
            self._ask(peer, number, [job_id])
        if not reachable:
            self._answered(number)

    def _answered(self, number: int) -> None:
        question = self._questions.pop(number)
        question.done(question.claims, question.waiting)

    def _concerning(self, peer: str) -> list[str]:
        """Name the jobs that went between this host and a peer, and those that wait for its word."""
        core = self._core
        found: list[str] = []
        for row, job in core.engine.book.jobs.items():
            doubted = any(peer in doubt.peers for doubt in self._doubts.get(row, ()))
            went = any(peer in (entry.source, entry.target) for entry in job.head.handoffs)
            if went or doubted:
                found.append(job.head.job_id)
        return found

    # --- what peers say ---------------------------------------------------------------------------

    def received(self, peer: str, message: Asking | Claims) -> None:
        """Answer what a peer asks, or take in what it answers."""
        if isinstance(message, Asking):
            claims = [claim for job_id in message.jobs for claim in self._claims(job_id)]
            self._core.send(ToPeer(peer, Claims(message.number, claims)))
            return
        question = self._questions.get(message.number)
        if question is not None:
            question.claims.extend((peer, claim) for claim in message.claims)
            question.waiting.discard(peer)
            if not question.waiting:
                self._answered(message.number)
            return
        for claim in message.claims:
            self._judge(peer, claim)
        if message.number == self._this_run:
            self._heard_of(peer, {c.job_id for c in message.claims if c.holding == ARRIVING})

    def _claims(self, job_id: str) -> list[Claim]:
        try:
            known = self._core.head(job_id)
        except JobUnreadable:
            return [Claim(job_id, "", 0, ARRIVING)]  # whose it is, this host can't say
        return claims_of(
            job_id, None if known is None else known[1], arriving=self._arriving(job_id)
        )

    def tell_old_hosts(self, head: JobHead) -> None:
        """A job went on from here: the hosts that had it before learn where it is now."""
        claims = Claims(UNASKED, [claim_of(head)])
        hosts = {name for entry in head.handoffs for name in (entry.source, entry.target)}
        for peer in hosts - {self._core.host, head.moved_to}:
            if self._connected(peer):
                self._core.send(ToPeer(peer, claims))

    def _went_on(self, row: int, head: JobHead, claim: Claim) -> None:
        """A job that left this host has left the next one, too: it is asked for where it is now."""
        owner = claim.moved_to
        if claim.instance != head.instance or head.moved_to is None:
            return
        if owner is None or not self._connected(owner):
            return
        if reached(claim) > max(head.epoch + 1, self._seen.get(row, 0)):
            self._seen[row] = reached(claim)
            head.moved_to = owner
            self._core.round.writes.heads[row] = head

    def _judge(self, peer: str, claim: Claim) -> None:
        core = self._core
        try:
            known = core.head(claim.job_id)
        except JobUnreadable:
            return  # it isn't run
        if known is None:
            return
        row, head = known
        if head.ownership not in (Ownership.OWNED, Ownership.RELEASED):
            self._went_on(row, head, claim)
            return
        judged = judge(head, claim, host=core.host, peer=peer)
        harmless = judged.judgement in (Judgement.KEEP, Judgement.TELL)
        if not (harmless or self.concerns(peer, row, head)):
            core.log.warning("claims a job that it never had", peer=peer, job=head.job_id)
            return
        match judged.judgement:
            case Judgement.GIVE_WAY if self._acknowledge(head.instance, judged.epoch):
                return
            case Judgement.GIVE_WAY if head.ownership is Ownership.OWNED and not head.status.finished:
                core.log.warning(
                    "gives way", job=head.job_id, epoch=head.epoch, owner=judged.owner,
                    owners_epoch=judged.epoch,
                )
                self.give_way(row, judged.owner)
            case Judgement.CONFLICT if not head.status.finished:
                self._contest(row, head, peer)
            case Judgement.OURS if row in self._doubts:
                self._outlived[row] = max(judged.epoch, self._outlived.get(row, 0))
            case Judgement.TELL:
                core.send(ToPeer(peer, Claims(UNASKED, [claim_of(head)])))
            case _:
                return

    def concerns(self, peer: str, row: int, head: JobHead) -> bool:
        """Whether a job went, or may have gone, between this host and a peer: nobody else's word counts.

        Nobody else can have it, unless an operator's word stood for what a host that is gone knew of it.
        """
        return (
            head.by_force
            or self._core.accepted
            or peer in (head.moved_to, head.contested_by)
            or any(peer in (entry.source, entry.target) for entry in head.handoffs)
            or any(peer in doubt.peers for doubt in self._doubts.get(row, ()))
            or any(
                record.peer == peer and record.job_id == head.job_id
                for record in self._core.store.handoffs()
            )
        )

    def give_way(self, row: int, owner: str) -> None:
        """The job is another host's: keep its document, and never run it."""
        core = self._core
        job = core.engine.job(row)
        head = job.head if job is not None else core.store.head(row)
        assert head is not None
        head.ownership = Ownership.GONE
        head.moved_to, head.given_to = owner, None
        head.finished_at = head.finished_at or core.now.wall
        core.round.writes.heads[row] = head
        core.apply(Drop(row))
        for doubt in self._stop_withholding(row):
            if doubt.then is not None:
                doubt.then()

    def settle(self, row: int) -> None:
        """A contested job is this host's: it runs, and its rivals are told."""
        core = self._core
        job = core.engine.job(row)
        if job is None:
            return
        core.apply(RetryJob(row))
        claims = Claims(UNASKED, [claim_of(job.head)])
        rivals = {name for entry in job.head.handoffs for name in (entry.source, entry.target)}
        for peer in sorted(rivals - {core.host}):
            if self._connected(peer):
                core.send(ToPeer(peer, claims))

    def _contest(self, row: int, head: JobHead, owner: str) -> None:
        core = self._core
        if head.contested_by == owner and head.status is JobStatus.BLOCKED:
            return
        reason = two_owners(head.job_id, core.host, owner, head.epoch)
        core.log.error("two owners", job=head.job_id, epoch=head.epoch, other=owner)
        head.contested_by = owner
        core.apply(Block(row, reason))
        # one of the two may have no reason to ask: both stop
        core.send(ToPeer(owner, Claims(UNASKED, [claim_of(head)])))


def two_owners(job_id: str, host: str, other: str, epoch: int) -> str:
    """Say that two hosts hold a job at one epoch, and what ends that."""
    return (
        f"two owners: hosts {host!r} and {other!r} both hold it at epoch {epoch}; look at it on both, then "
        f"run `sojourn handoff resolve {job_id} --force reclaim` on the one that shall keep it"
    )
