"""The decisions of a drain: which job goes to which host next, what is tried again, and when it is over.

It is told what there is (jobs, hosts, how moves ended) and says which moves to begin. A job that can't move
for a reason that may pass is tried again for a while; one that was released is waited for without end,
unless there is a deadline. Moves nothing, knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

from sojourn.runtime.commands import cordoned
from sojourn.runtime.errors import AccessDenied, CodeNotLoadable, HandoffAborted, HandoffInDoubt
from sojourn.runtime.moved import Json, Outcome, moved_entry, other_entry

AT_ONCE = 128
"""Hand-offs of one drain that are under way side by side."""

TRIES = 3
"""Moves of one job to one host that may fail before that host is given up for it."""

PAUSE = 0.5
"""Seconds until a job is tried again; doubles with each failure."""

PATIENCE = 15.0
"""Seconds that a host which can't be reached is waited for, or a job whose ownership isn't certain."""

LOOK = 0.5
"""Seconds between two looks at what there is."""

FOR_ALL_OF_A_FLOW = (CodeNotLoadable.__name__, AccessDenied.__name__)
"""Refusals that every job of the same flow would meet."""


class Place(Enum):
    """Where a job is, as far as its host knows."""

    HERE = "owned here, and may leave"
    BUSY = "owned here, and about to be something else by itself: handed over, or cancelled"
    HELD = "owned here, as far as is known: peers are asked"
    GIVEN = "released, not acknowledged"
    GONE = "owned elsewhere"
    ENDED = "completed, failed or cancelled here"


class Seen(msgspec.Struct, frozen=True):
    """One job at one look.

    Attributes:
        flow: digest of its flow.
        place: where it is.
        host: the other host, where it was given or is gone to one; its status, where it has ended.
        why: why it is held; what else is to be known of one that is gone.
        epoch: under which it is owned there.
        bytes: of what travelled there; 0 where that isn't known.
        to: host that it was given to, where it went on from there; empty for ``host``.
    """

    flow: str
    place: Place
    host: str = ""
    why: str = ""
    epoch: int = 0
    bytes: int = 0
    to: str = ""


class Peer(msgspec.Struct, frozen=True):
    """A paired host."""

    name: str
    reachable: bool
    cordoned: bool = False


class Begin(msgspec.Struct, frozen=True):
    """Move this job to that host now."""

    job_id: str
    host: str


class Leaving(msgspec.Struct, eq=False):
    """A job of the drain.

    Attributes:
        job_id: it.
        seen: as it was seen last.
        to: host that it is being moved to.
        begun: when that began.
        not_before: when it may be tried again.
        failed: host → (how often it failed, why the last time).
        error: class name of the last failure.
        lacking: since when no host can take it, or it is held; None while one can.
        stays: why it stays, once nothing else can be hoped for.
        entry: what came of it, once that is settled.
    """

    job_id: str
    seen: Seen
    to: str | None = None
    begun: float = 0.0
    not_before: float = 0.0
    failed: dict[str, tuple[int, str]] = {}
    error: str | None = None
    lacking: float | None = None
    stays: str | None = None
    entry: Json | None = None


class Drain:
    """One drain of one host. Times are monotonic seconds.

    Args:
        host: the host that is drained.
        to: where everything goes; None to spread over all paired hosts.
        deadline: when it ends whatever there is; None for never.
        at_once: how many hand-offs may be under way.
    """

    def __init__(
        self, host: str, to: str | None, deadline: float | None = None, at_once: int = AT_ONCE
    ) -> None:
        self._host = host
        self._to = to
        self.deadline = deadline
        self._at_once = at_once
        self._jobs: dict[str, Leaving] = {}
        self._open: dict[str, Leaving] = {}
        """Those of which it isn't known yet what came of them: all that a round looks at."""
        self._peers: dict[str, Peer] = {}
        self._given: dict[str, int] = {}
        """host → moves to it that were begun and didn't fail."""
        self._barred: dict[tuple[str, str], str] = {}
        """(flow, host) → why no job of the flow can go there."""
        self._over = False
        self._next_look = 0.0

    def go_on(self, to: str | None, deadline: float | None) -> None:
        """It is asked for again: the new options hold, and what failed is tried anew."""
        self._to = to
        self.deadline = deadline
        self._barred.clear()
        self._over = False
        self._next_look = 0.0
        for job in self._jobs.values():
            job.failed = {}
            job.stays = job.lacking = None
            job.not_before = 0.0

    def end(self) -> None:
        """Begin no more moves; what is under way is waited for unless the deadline has passed."""
        self._over = True
        self._next_look = 0.0

    # --- what happens -------------------------------------------------------------------------------

    def see(self, jobs: Mapping[str, Seen], peers: Iterable[Peer], now: float) -> None:
        """Take in what there is.

        Args:
            jobs: every unfinished job of the host, every job that it released, and every job of this
                drain that isn't settled.
            peers: the paired hosts.
            now: monotonic seconds.
        """
        self._peers = {peer.name: peer for peer in peers}
        self._next_look = now + LOOK
        for job_id, seen in jobs.items():
            job = self._jobs.get(job_id)
            if job is None:
                if seen.place in (Place.GONE, Place.ENDED):
                    continue
                job = self._jobs[job_id] = self._open[job_id] = Leaving(job_id, seen)
            self._look(job, seen, now)

    def _look(self, job: Leaving, seen: Seen, now: float) -> None:
        job.seen = seen
        match seen.place:
            case Place.GONE:
                self._left(job, seen, now)
            case Place.ENDED:
                self._settle(job, other_entry(
                    job.job_id, Outcome.ENDED, host=self._host, source=self._host, reason=seen.host
                ))
            case Place.HERE | Place.BUSY | Place.HELD:
                self._reopen(job)  # also one that came back, or was taken up again
                if job.to is not None and seen.place is not Place.BUSY and job.begun + LOOK < now:
                    job.to = None  # nobody hands it over any more, and nobody said so
            case Place.GIVEN:
                self._reopen(job)

    def _settle(self, job: Leaving, entry: Json) -> None:
        job.to = None
        job.entry = entry
        self._open.pop(job.job_id, None)

    def _reopen(self, job: Leaving) -> None:
        if job.entry is not None:
            job.entry = None
            self._open = {one.job_id: one for one in self._jobs.values() if one.entry is None}

    def _left(self, job: Leaving, seen: Seen, now: float) -> None:
        """It is owned elsewhere; who moves it tells the figures, if they come before the deadline."""
        if job.entry is None and (job.to is None or self._expired(now)):
            entry = moved_entry({
                "job_id": job.job_id, "from": self._host, "to": seen.to or seen.host, "host": seen.host,
                "epoch": seen.epoch, "bytes": seen.bytes,
            })
            entry["reason"] = seen.why or None
            self._settle(job, entry)

    def moved(self, body: Mapping[str, Any]) -> None:
        """A move was done; ``body`` is the answer to it."""
        job = self._jobs.get(body["job_id"])
        if job is not None:
            self._settle(job, moved_entry(body))

    def failed(self, job_id: str, host: str, kind: str, message: str, now: float) -> None:
        """A move didn't come to its end.

        Args:
            job_id: the job.
            host: where it was to go.
            kind: class name of the error.
            message: its sentence.
            now: monotonic seconds.
        """
        job = self._jobs[job_id]
        job.to = None
        job.seen = msgspec.structs.replace(job.seen, place=Place.BUSY)  # until the look that follows now
        job.error = kind
        self._given[host] = self._given.get(host, 1) - 1
        self._next_look = now
        if kind == HandoffInDoubt.__name__:
            return  # it is seen as given, and waited for
        if kind in FOR_ALL_OF_A_FLOW:
            self._barred[(job.seen.flow, host)] = message
        times = job.failed.get(host, (0, ""))[0] + 1
        job.failed[host] = (times, message)
        job.not_before = now + PAUSE * 2 ** (times - 1)

    # --- what follows -------------------------------------------------------------------------------

    def next(self, now: float) -> list[Begin]:
        """Give the moves that are to begin now."""
        if self._over or self._expired(now):
            return []
        room = self._at_once - sum(job.to is not None for job in self._open.values())
        found: list[Begin] = []
        for job in self._open.values():
            if len(found) >= room:
                break
            host = self._choice(job, now) if self._waits(job) else None
            if host is not None and job.not_before <= now:
                job.to, job.begun = host, now
                self._given[host] = self._given.get(host, 0) + 1
                found.append(Begin(job.job_id, host))
        return found

    def _waits(self, job: Leaving) -> bool:
        return job.to is None and job.seen.place in (Place.HERE, Place.HELD)

    def _choice(self, job: Leaving, now: float) -> str | None:
        """Choose a host for a job: of those that may take it the one that got the fewest so far."""
        left = self._left_for(job)
        ready = [peer for peer in left if peer.reachable and not peer.cordoned]
        if ready and job.seen.place is Place.HERE:
            job.lacking = job.stays = None
            return min(ready, key=lambda peer: (self._given.get(peer.name, 0), peer.name)).name
        if job.lacking is None:
            job.lacking = now
        hopeful = job.seen.place is Place.HELD or any(not peer.reachable for peer in left)
        if not hopeful or now >= job.lacking + PATIENCE:
            job.stays = self._why(job)
        return None

    def _left_for(self, job: Leaving) -> list[Peer]:
        """Give the hosts that aren't given up for a job."""
        return [
            peer for peer in self._hosts()
            if (job.seen.flow, peer.name) not in self._barred
            and job.failed.get(peer.name, (0, ""))[0] < TRIES
        ]

    def _hosts(self) -> list[Peer]:
        if self._to is None:
            return list(self._peers.values())
        return [self._peers.get(self._to, Peer(self._to, reachable=False))]

    def _why(self, job: Leaving) -> str:
        """Say why a job stays."""
        if job.seen.place is Place.HELD:
            return job.seen.why
        hosts = self._hosts()
        if not hosts:
            return f"host {self._host!r} is paired with no host: see `sojourn invite` and `sojourn join`"
        reasons = [self._against(job, peer) for peer in hosts]
        return reasons[0] if len(reasons) == 1 else "; ".join(dict.fromkeys(reasons))

    def _against(self, job: Leaving, peer: Peer) -> str:
        barred = self._barred.get((job.seen.flow, peer.name))
        times, why = job.failed.get(peer.name, (0, ""))
        if barred is not None or times >= TRIES:
            return barred or why
        if not peer.reachable:
            return f"host {peer.name!r} can't be reached: see `sojourn peers`"
        if peer.cordoned:
            return cordoned(peer.name)
        return why or f"host {peer.name!r} was not asked"

    def _expired(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def to_abort(self, now: float) -> list[str]:
        """Name the jobs whose hand-offs are to be aborted, since the deadline has passed."""
        if not self._expired(now):
            return []
        return [job.job_id for job in self._open.values() if job.to is not None]

    def over(self, now: float) -> bool:
        """Whether nothing more can be done, or the deadline has passed; ``entries`` then tells the rest."""
        if self._expired(now):
            return True
        return all(self._is_over(job) for job in self._open.values())

    def _is_over(self, job: Leaving) -> bool:
        if job.to is not None or job.seen.place is Place.GIVEN:
            return False
        return self._over or (job.seen.place is not Place.BUSY and job.stays is not None)

    def wake_at(self, now: float) -> float:
        """Give when there is something to do at the latest."""
        times = [self._next_look]
        if self.deadline is not None:
            times.append(self.deadline)
        times.extend(
            job.not_before for job in self._open.values() if job.not_before > now and self._waits(job)
        )
        return min(times)

    def look_is_due(self, now: float) -> bool:
        """Whether it wants to see what there is."""
        return now >= self._next_look

    # --- what is told -------------------------------------------------------------------------------

    def news(self) -> Json:
        """Say how far it is."""
        entries = [job.entry for job in self._jobs.values() if job.entry is not None]
        jobs = self._open.values()
        return {
            "host": self._host,
            "moved": sum(entry["outcome"] == Outcome.MOVED for entry in entries),
            "under_way": [job.job_id for job in jobs if job.to is not None],
            "in_doubt": [job.job_id for job in jobs if self._in_doubt(job)],
            "waiting": sum(self._waits(job) and job.stays is None for job in jobs),
            "stays": [job.job_id for job in jobs if job.stays is not None],
        }

    def _in_doubt(self, job: Leaving) -> bool:
        return job.to is None and job.seen.place is Place.GIVEN

    def unsettled(self) -> list[str]:
        """Name the jobs of which it isn't known yet what came of them."""
        return list(self._open)

    def entries(self, now: float) -> list[Json]:
        """Say for each job where it is now."""
        return [self._entry(job, now) for job in self._jobs.values()]

    def _entry(self, job: Leaving, now: float) -> Json:
        if job.entry is not None:
            return job.entry
        if job.seen.place is Place.GIVEN:
            target = job.seen.host
            return other_entry(
                job.job_id, Outcome.IN_DOUBT, host=None, source=self._host, target=target,
                error=HandoffInDoubt.__name__,
                reason=f"job {job.job_id} was released to host {target!r}, which hasn't acknowledged it: "
                       f"`sojourn handoff show {job.job_id}` tells more",
            )
        return other_entry(
            job.job_id, Outcome.STAYS, host=self._host, source=self._host,
            error=job.error or HandoffAborted.__name__, reason=job.stays or self._interrupted(job, now),
        )

    def _interrupted(self, job: Leaving, now: float) -> str:
        if not self._expired(now):
            return f"the drain was ended by `sojourn uncordon` before job {job.job_id} had moved"
        failures = [why for _, why in job.failed.values()]
        last = f"; before that: {failures[-1]}" if failures else ""
        return f"the drain's deadline passed before job {job.job_id} had moved{last}"
