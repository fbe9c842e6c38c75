"""What must hold at every step of a simulated world, and what must have come out at its end.

Sees what is durable (every commit as it is applied), what processes begin, and what leaves a host; never
asks a supervisor what it believes. The guarantees are those of the README.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sojourn.hosts.store.protocol import Store
from sojourn.runtime.flow import RoutineSpec
from sojourn.runtime.job import JobHead, JobStatus, Outcome, Ownership, Writes
from sojourn.runtime.moved import Outcome as MoveOutcome
from sojourn.runtime.wire.actor import Ending, JobContext, Turn
from tests.simulation.hosts.flows import Expected, backoff, unpacked
from tests.simulation.hosts.schedule import Schedule, Violation

TOLERANCE = 0.001
"""Seconds by which clocks read as floating-point numbers may differ."""


class Held(msgspec.Struct):
    """What a host's disk says of a job."""

    row: int
    ownership: Ownership
    epoch: int
    status: JobStatus
    held: bool


class Running(msgspec.Struct, frozen=True):
    """A turn that executes."""

    host: str
    instance: str
    epoch: int
    routine: str
    message: int
    attempt: int


class Story(msgspec.Struct):
    """What is known of one job."""

    job_id: str
    held: dict[str, Held] = {}
    """Host → what its disk says."""
    owners: dict[int, str] = {}
    """Epoch → host that owned it then."""
    finished: dict[int, int] = {}
    """Message → attempts at it whose outcome is durable."""
    ended: set[int] = set()
    """Messages of which the end is durable."""
    entries: dict[int, tuple[int, int, int]] = {}
    """Sequence → (message, attempt, outcome) of the history, as it became durable first."""
    first: dict[str, int] = {}
    """Routine → newest message of it that began."""
    begun: dict[int, Ending | None] = {}
    """Message → how its last execution ended."""
    dues: dict[int, float] = {}
    """Message that failed → virtual time before which it must not be tried again."""
    values: dict[int, int] = {}
    """Message of ``work`` → value of its item."""
    paused: bool = False
    """Whether a pause was acknowledged, and nobody asked to resume yet."""
    said: str = ""
    """Status that a cancel was acknowledged with."""


class Judge:
    """Watches a world.

    Args:
        schedule: its trace.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.stories: dict[str, Story] = {}
        """By instance."""
        self._tags: dict[bytes, str] = {}
        """Input → instance: an input is submitted once."""
        self._rows: dict[tuple[str, int], str] = {}
        self._running: dict[tuple[str, str], Running] = {}
        self.turns = 0
        self.moves = 0

    def broken(self, rule: str, what: str) -> Violation:
        """Make the violation of a rule."""
        return Violation(f"{rule}: {what}")

    def story(self, job_id: str) -> Story | None:
        """Give what is known of a job by its id."""
        return next((story for story in self.stories.values() if story.job_id == job_id), None)

    # --- what is durable --------------------------------------------------------------------------

    def committed(self, host: str, store: Store, writes: Writes) -> None:
        """A round is on a host's disk."""
        for row in writes.jobs_removed:
            instance = self._rows.pop((host, row), None)
            if instance is not None:
                self.stories[instance].held.pop(host, None)
        for row, head in writes.heads.items():
            self._head(host, row, head, store)
        for entry in writes.history:
            instance = self._rows.get((host, entry.job))
            if instance is not None:
                self._entry(
                    host, self.stories[instance], entry.sequence, entry.message, entry.attempt,
                    entry.outcome, bool(entry.final),
                )

    def _head(self, host: str, row: int, head: JobHead, store: Store) -> None:
        instance = head.instance
        story = self.stories.get(instance)
        if story is None:
            story = self.stories[instance] = Story(head.job_id)
            known = self._tags.setdefault(head.input, instance)
            if known != instance:
                raise self.broken("once", f"job {head.job_id} was submitted once and made twice")
        before = story.held.get(host)
        story.held[host] = Held(row, head.ownership, head.epoch, head.status, head.held)
        self._rows[host, row] = instance
        if before is not None and head.epoch < before.epoch:
            raise self.broken("epoch", f"{host} goes back from {before.epoch} to {head.epoch}")
        if head.ownership is Ownership.OWNED:
            self._owned(host, story, instance, row, head, store)
        elif before is not None and before.ownership is Ownership.OWNED:
            self._let_go(host, story, instance, head)
        if not any(
            h.ownership in (Ownership.OWNED, Ownership.RELEASED) for h in story.held.values()
        ):
            raise self.broken("G6", f"no disk holds job {story.job_id} any more ({story.held})")

    def _owned(
        self, host: str, story: Story, instance: str, row: int, head: JobHead, store: Store
    ) -> None:
        others = [
            name for name, held in story.held.items()
            if name != host and held.ownership is Ownership.OWNED
        ]
        if others:
            raise self.broken("G5", f"{host} and {others} own job {story.job_id} at once")
        known = story.owners.get(head.epoch)
        if known == host:
            return
        if known is not None or any(epoch > head.epoch for epoch in story.owners):
            raise self.broken(
                "epoch", f"{host} owns job {story.job_id} at {head.epoch}, but owners were {story.owners}"
            )
        story.owners[head.epoch] = host
        self._schedule.note("judge", f"{host} owns {story.job_id} at {head.epoch}")
        if head.epoch > 1:
            self.moves += 1
        elsewhere = [r for r in self._running.values() if r.instance == instance and r.host != host]
        if elsewhere:
            raise self.broken("G5", f"{host} owns job {story.job_id} while {elsewhere} runs")
        here = {
            e.sequence: (e.message, e.attempt, e.outcome) for e in store.history_after(row, 0, 1_000_000)
        }
        if here != story.entries:
            lost = {n: story.entries[n] for n in story.entries if here.get(n) != story.entries[n]}
            more = {n: here[n] for n in here if n not in story.entries}
            raise self.broken(
                "G2", f"{host} owns job {story.job_id} without durable entries {lost}, with others {more}"
            )

    def _let_go(self, host: str, story: Story, instance: str, head: JobHead) -> None:
        flying = [r for r in self._running.values() if r.instance == instance and r.host == host]
        if flying:
            raise self.broken("G5", f"{host} lets job {story.job_id} go while {flying} runs")
        if head.ownership is Ownership.GONE and not any(
            held.ownership is Ownership.OWNED and held.epoch > head.epoch
            for name, held in story.held.items() if name != host
        ) and not any(epoch > head.epoch for epoch in story.owners):
            raise self.broken("G6", f"{host} takes job {story.job_id} for gone, but nobody owned it")

    def _entry(
        self, host: str, story: Story, sequence: int, message: int, attempt: int, outcome: int,
        final: bool,
    ) -> None:
        said = (message, attempt, outcome)
        what = f"{host} records message {message}, attempt {attempt}, outcome {outcome} of {story.job_id}"
        if sequence in story.entries:
            raise self.broken("G4", f"{what} as entry {sequence}, which is {story.entries[sequence]}")
        story.entries[sequence] = said
        done = story.finished.get(message, 0)
        if message in story.ended:
            raise self.broken("G3", f"{what} after its end")
        if attempt != done + 1:
            raise self.broken("G4", f"{what} after {done} finished ones")
        if outcome != Outcome.INTERRUPTED:
            story.finished[message] = done + 1
            story.dues[message] = self._schedule.now + backoff(attempt)
        if final:
            story.ended.add(message)

    def clock_is_set(self, host: str) -> None:
        """A wall clock jumps: what waits on that host may be tried earlier, if it is down or goes down."""
        for story in self.stories.values():
            if host in story.held:
                story.dues.clear()

    # --- what runs --------------------------------------------------------------------------------

    def turn_begins(
        self, host: str, process: str, context: JobContext, turn: Turn, spec: RoutineSpec
    ) -> None:
        """A process begins a turn."""
        self.turns += 1
        story = self.stories.get(context.instance)
        what = f"{host} runs message {turn.message} of {context.job_id} at epoch {context.epoch}"
        self._schedule.note(
            host, f"{process} begins {context.job_id}#{turn.message}.{turn.attempt} e{context.epoch}"
        )
        if story is None:
            raise self.broken("G1", f"{what}, of which nothing is durable")
        held = story.held.get(host)
        if held is None or held.ownership is not Ownership.OWNED or held.epoch != context.epoch:
            raise self.broken("G5", f"{what}, but its disk says {held}")
        for running in self._running.values():
            if running.instance != context.instance:
                continue
            if running.host != host:
                raise self.broken("G5", f"{what} while {running}")
            if running.routine == spec.id and not spec.parallel:
                raise self.broken("G8", f"{what} while {running}")
        if story.paused:
            raise self.broken("commands", f"{what}, which is paused")
        if turn.message in story.ended:
            raise self.broken("G3", f"{what}, whose end is durable")
        if turn.attempt != story.finished.get(turn.message, 0) + 1:
            raise self.broken("G4", f"{what} as attempt {turn.attempt}")
        early = story.dues.get(turn.message, 0.0) - self._schedule.now
        if early > TOLERANCE:
            raise self.broken("backoff", f"{what} {early:.3f} s too early")
        self._order(story, turn, spec, what)
        story.begun[turn.message] = None
        self._running[host, process] = Running(
            host, context.instance, context.epoch, spec.id, turn.message, turn.attempt
        )
        if spec.id == "work":
            story.values[turn.message] = unpacked(turn.data)["value"]

    def _order(self, story: Story, turn: Turn, spec: RoutineSpec, what: str) -> None:
        newest = story.first.get(spec.id, 0)
        if turn.message not in story.begun:
            if turn.message < newest and not spec.parallel:
                raise self.broken("G8", f"{what} for the first time after message {newest}")
            story.first[spec.id] = max(newest, turn.message)
        if not spec.ordered:
            return
        for older, ending in story.begun.items():
            if (
                older < turn.message and older in story.values
                and older not in story.ended and ending is not Ending.SUCCEEDED
            ):
                raise self.broken("G8", f"{what} (ordered) before message {older}")

    def turn_ends(self, host: str, process: str, ending: Ending | None) -> None:
        """A turn is over, or its process."""
        running = self._running.pop((host, process), None)
        if running is not None:
            self.stories[running.instance].begun[running.message] = ending

    # --- commands ---------------------------------------------------------------------------------

    def moved(self, job_id: str, to: str, epoch: int) -> None:
        """A migrate was acknowledged."""
        story = self.story(job_id)
        if story is None or story.owners.get(epoch) != to:
            raise self.broken("commands", f"job {job_id} is said to be at {to} at epoch {epoch}: {story}")

    def drained(self, host: str, entries: list[dict[str, Any]], *, in_time: bool) -> None:
        """A drain was said to be over, with these jobs; before its deadline none of them is in doubt."""
        for entry in entries:
            story = self.story(entry["job_id"])
            held = None if story is None else story.held.get(host)
            if entry.get("epoch") and (story is None or story.owners.get(entry["epoch"]) != entry["to"]):
                raise self.broken("commands", f"a drain says {entry}: {story}")
            named = entry["outcome"] == MoveOutcome.IN_DOUBT and not in_time
            released = held is not None and held.ownership is Ownership.RELEASED
            if not entry.get("epoch") and released and not named:
                raise self.broken("commands", f"a drain ends while {entry['job_id']} is released")

    def submitted(self, job_id: str) -> None:
        """A submit was acknowledged."""
        if self.story(job_id) is None:
            raise self.broken("G1", f"the submit of {job_id} is acknowledged, and not durable")

    def paused(self, job_id: str) -> None:
        """A pause was acknowledged."""
        story = self.story(job_id)
        assert story is not None
        if any(self.stories[r.instance] is story for r in self._running.values()):
            raise self.broken("commands", f"the pause of {job_id} is acknowledged while a turn runs")
        story.paused = True

    def resuming(self, job_id: str) -> None:
        """Somebody asks to resume."""
        story = self.story(job_id)
        if story is not None:
            story.paused = False

    def cancelled(self, job_id: str, status: str) -> None:
        """A cancel was acknowledged."""
        story = self.story(job_id)
        assert story is not None
        story.said = status

    # --- the end ----------------------------------------------------------------------------------

    def owner(self, story: Story) -> str | None:
        """Give the host that owns a job."""
        return next(
            (name for name, held in story.held.items() if held.ownership is Ownership.OWNED), None
        )

    def finished(self) -> bool:
        """Whether every job has ended."""
        return all(
            (owner := self.owner(story)) is not None and story.held[owner].status.finished
            for story in self.stories.values()
        )

    def outcome(self, story: Story, store: Store, wanted: Expected, *, parallel: bool) -> None:
        """Judge what came out of a job, by the store of its owner."""
        owner = self.owner(story)
        assert owner is not None
        row = story.held[owner].row
        image = store.read_image(row)
        status = image.head.status
        if story.said and status.value != story.said:
            raise self.broken("commands", f"{story.job_id} was said to be {story.said}, and is {status}")
        if status is JobStatus.CANCELLED:
            return
        if status is not JobStatus.COMPLETED:
            why = f"{image.head.reason} {image.head.error}"
            raise self.broken("outcome", f"{story.job_id} is {status}: {why}")
        found: dict[str, Any] = {
            "result": unpacked(image.head.result or b"\x80"),
            "shared": {entry.key: unpacked(entry.value) for entry in image.shared},
            "attributes": {
                (entry.routine, entry.name): unpacked(entry.value)
                for entry in image.attributes if entry.name != "large"
            },
            "finished": {
                value: story.finished[message] for message, value in story.values.items()
            },
            "skipped": sum(1 for entry in image.history if entry.outcome == Outcome.SKIPPED),
        }
        should = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        if parallel:
            for side in (found, should):
                side["attributes"] = {
                    name: value for name, value in side["attributes"].items() if name[0] != "work"
                }
        if found != should:
            wrong = {name: (found[name], should[name]) for name in found if found[name] != should[name]}
            raise self.broken("outcome", f"{story.job_id} (found, should be): {wrong}")
        if image.messages or image.questions:
            raise self.broken("outcome", f"{story.job_id} is over, and has {image.messages}")
