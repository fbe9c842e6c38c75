"""Mistakes that could be made in the hand-off, each put into the shipped code for the time of one test.

A mutant replaces a shipped function, method or row of a table; with it comes a world small enough for a
search to find what it breaks. First the mistakes that two-phase commit is known for, then rules of section
7 of the design, each left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from sojourn.runtime.handoff import claims, routing, strays, table
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.claims import Judged, Judgement
from sojourn.runtime.handoff.source import SourceHandoff
from sojourn.runtime.handoff.stream import IncomingStream, Piece
from sojourn.runtime.handoff.table import SourceState, SourceStep, TargetState
from sojourn.runtime.handoff.target import TargetHandoff
from sojourn.runtime.job import JobHead, Ownership
from sojourn.runtime.wire.claims import Claim
from sojourn.runtime.wire.handoff import Abort, Ack, Chunk, Closed, Commit, Prepared, Query
from tests.simulation import receiving
from tests.simulation.events import Events
from tests.simulation.host import Bounds

ONE = Bounds(moves=1, failures=1, network=1)
TWO = Bounds(moves=2, failures=0, network=1)
FORCED = Bounds(moves=1, failures=0, network=1, forces=1)
FORCED_THERE_AND_BACK = Bounds(moves=2, failures=0, network=1, forces=1)
REPLAYED = Bounds(moves=2, failures=0, network=None)

TWO_OWNERS = "two hosts own the job (G5)"
LOST = "no disk holds the whole job (G6)"
ENDLESS = "it never ends"
STUCK = "nothing happens any more"

TRANSITIONS: dict[tuple[SourceState, SourceStep], SourceState] = vars(table)["_NEXT_SOURCE"]

Step = Callable[..., Any]
"""A method of a machine, or a pure function: what it is given is checked where it stands, not here."""


class Mutant(NamedTuple):
    """A mistake.

    Attributes:
        name: what is done wrong.
        place: object and attribute that is replaced, or mapping and key.
        replacement: made of what is shipped.
        says: begin of what the search must say.
        bounds: of the world that shows it.
        begins_after: undisturbed moves before anything goes wrong.
        fair: whether it shows only in what the states lead to.
    """

    name: str
    place: tuple[Any, Any]
    replacement: Callable[[Any], Any]
    says: str
    bounds: Bounds = ONE
    begins_after: int = 0
    fair: bool = False

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Have it in the shipped code for a while."""
        owner, name = self.place
        with pytest.MonkeyPatch.context() as patch:
            if owner is TRANSITIONS:
                patch.setitem(TRANSITIONS, name, self.replacement(None))
            else:
                patch.setattr(owner, name, self.replacement(getattr(owner, name)))
            yield


# --- how steps are changed --------------------------------------------------------------------------


def sends_first(*kinds: type) -> Callable[[Step], Step]:
    """Let messages of some kinds leave before what stands in front of them is on disk."""

    def mutate(shipped: Step) -> Step:
        def step(*arguments: Any, **named: Any) -> list[fx.Effect]:
            effects: list[fx.Effect] = shipped(*arguments, **named)
            early = [one for one in effects if isinstance(one, fx.Send) and isinstance(one.message, kinds)]
            return [*early, *(one for one in effects if one not in early)]

        return step

    return mutate


def without(*kinds: type) -> Callable[[Step], Step]:
    """Leave effects of some kinds out."""

    def mutate(shipped: Step) -> Step:
        def step(*arguments: Any, **named: Any) -> list[fx.Effect]:
            return [one for one in shipped(*arguments, **named) if not isinstance(one, kinds)]

        return step

    return mutate


def always(value: Any) -> Callable[[Any], Any]:
    """Give one answer, whatever is asked."""

    def answer(*_arguments: Any, **_named: Any) -> Any:
        return value

    return lambda _shipped: answer


def always_the_state(state: SourceState) -> Callable[[Any], Any]:
    """Give a row of a table that isn't shipped."""
    return lambda _shipped: state


def changed(kind: type[msgspec.Struct], **fields: Any) -> Callable[[Step], Step]:
    """Replace fields of effects of a kind."""

    def mutate(shipped: Step) -> Step:
        def step(*arguments: Any, **named: Any) -> list[Any]:
            effects: list[Any] = shipped(*arguments, **named)
            return [replace(one, **fields) if isinstance(one, kind) else one for one in effects]

        return step

    return mutate


# --- the mistakes -----------------------------------------------------------------------------------


def runs_at_prepared(shipped: Step) -> Step:
    def offer(self: Any, *arguments: Any) -> list[fx.Effect]:
        effects: list[fx.Effect] = shipped(self, *arguments)
        if self.state is TargetState.PREPARED and self._final:
            effects.append(fx.OwnJob(self._final, self.epoch + 1, 0))
        return effects

    return offer


def forgets_tombstones(shipped: Step) -> Step:
    def facts(asked: Any, head: JobHead | None, *arguments: Any, **named: Any) -> Any:
        owned = head is not None and head.ownership is Ownership.OWNED
        return shipped(asked, head if owned else None, *arguments, **named)

    return facts


def forgets_records(role: str, state: str) -> Callable[[Step], Step]:
    def mutate(shipped: Step) -> Step:
        def recover(row: Any, *arguments: Any) -> Any:
            return None if (row.role, row.state) == (role, state) else shipped(row, *arguments)

        return recover

    return mutate


def takes_any_hand_off(shipped: Step) -> Step:
    def meant(machines: dict[str, Any], m: str) -> str | None:
        return shipped(machines, m) or next(iter(machines), None)

    return meant


def reclaims_without_asking(shipped: Step) -> Step:
    def tick(self: Any, now: float) -> list[fx.Effect]:
        if self.state is SourceState.RELEASED and now >= self._deadline:
            effects: list[fx.Effect] = self._reclaim()
            return effects
        return list(shipped(self, now))

    return tick


def freezes_without_waiting(shipped: Step) -> Step:
    def freeze(self: Any, now: float) -> list[fx.Effect]:
        return [*shipped(self, now), *self._quiet(fx.Quiet(0.0, 1), now)]

    return freeze


def answers_while_undecided(shipped: Step) -> Step:
    def step(self: Any, happening: Any, now: float) -> list[fx.Effect]:
        if isinstance(happening, Query) and self.state is SourceState.FROZEN:
            return [fx.Send(Abort(self.m, ""))]
        return list(shipped(self, happening, now))

    return step


def never_asks(shipped: Step) -> Step:
    def tick(self: Any, now: float, *, forced: bool) -> list[fx.Effect]:
        return [] if self.state is TargetState.PREPARED else list(shipped(self, now, forced=forced))

    return tick


def gives_up_waiting(shipped: Step) -> Step:
    def tick(self: Any, now: float, *, forced: bool) -> list[fx.Effect]:
        if self.state is TargetState.PREPARED and now > 1.0:
            effects: list[fx.Effect] = self._drop()
            return effects
        return list(shipped(self, now, forced=forced))

    return tick


def answers_strays_blindly(shipped: Step) -> Step:
    def answer(message: Any, _record: Any, own_store: str) -> Any:
        return shipped(message, None, own_store)

    return answer


def commits_what_stayed(shipped: Step) -> Step:
    def answer(message: Any, record: Any, own_store: str) -> Any:
        if isinstance(message, Query) and (record is None or record.state == SourceState.PRECOPY):
            return Commit(message.m, message.job_id, message.instance, message.epoch)
        return shipped(message, record, own_store)

    return answer


def closes_what_was_taken_back(shipped: Step) -> Step:
    def answer(message: Any, record: Any, own_store: str) -> Any:
        if isinstance(message, Ack) and record is not None and record.state == SourceState.RECLAIMED:
            return Closed(message.m)
        return shipped(message, record, own_store)

    return answer


def owns_at_the_epoch_offered(shipped: Step) -> Step:
    def commit(self: Any, *arguments: Any) -> list[fx.Effect]:
        return changed(fx.OwnJob, epoch=self.epoch)(shipped)(self, *arguments)  # type: ignore[no-any-return]

    return commit


def forces_one_epoch_only(shipped: Step) -> Step:
    def reclaim(self: Any) -> list[fx.Effect]:
        return changed(fx.ReclaimJob, epoch=self.epoch + 1)(shipped)(self)  # type: ignore[no-any-return]

    return reclaim


def forgets_its_source(shipped: Step) -> Step:
    def commit(self: Any, *arguments: Any) -> list[fx.Effect]:
        effects: list[fx.Effect] = shipped(self, *arguments)
        owns = any(isinstance(one, fx.OwnJob) for one in effects)
        return [*effects, fx.Erase("target", self.m)] if owns else effects

    return commit


def erases_what_was_offered(shipped: Step) -> Step:
    def abort(self: Any, *arguments: Any) -> list[fx.Effect]:
        effects: list[fx.Effect] = shipped(self, *arguments)
        return [fx.Erase("source", self.m), *effects] if effects else effects

    return abort


def takes_chunks_again(_shipped: Step) -> Step:
    def take(self: Any, chunk: Chunk) -> Piece:
        if chunk.n == self.next:
            self.next += 1
            self._digest.update(chunk.data)
        return Piece(chunk.data, chunk.blob, chunk.last)

    return take


def reuses_names(shipped: Step) -> Step:
    def begin(self: Any, name: str, state: Any, to: str, _m: str) -> Any:
        return shipped(self, name, state, to, "m1")

    return begin


def says_one_thing_only(shipped: Step) -> Step:
    def say(job_id: str, head: JobHead | None, *, arriving: bool) -> list[Claim]:
        return list(shipped(job_id, head, arriving=arriving and head is None))

    return say


NAMED = (
    Mutant("runs at PREPARED", (TargetHandoff, "_offer"), runs_at_prepared, TWO_OWNERS),
    Mutant(
        "sends COMMIT before the write", (SourceHandoff, "_prepared"), sends_first(Commit), TWO_OWNERS
    ),
    Mutant(
        "forgets the epoch tombstone", (routing, "facts_about"), forgets_tombstones,
        "epoch 2 is owned after epoch 3", REPLAYED, begins_after=2,
    ),
    Mutant(
        "drops PREPARED on restart", (routing, "recover"),
        forgets_records("target", TargetState.PREPARED), LOST,
    ),
    Mutant("accepts a stale m", (receiving, "meant"), takes_any_hand_off, LOST, TWO),
    Mutant("reclaims without asking", (SourceHandoff, "_tick"), reclaims_without_asking, TWO_OWNERS),
    Mutant(
        "freezes without waiting for turns", (SourceHandoff, "_freeze"), freezes_without_waiting,
        "an attempt executes on a host that doesn't own the job (G5)",
    ),
)
"""The seven that a reader of the design thinks of first."""

OURS = (
    Mutant(
        "sends ACK before the write", (TargetHandoff, "_commit"), sends_first(Ack),
        "the job is gone at epoch 1, and nobody has owned it since (G1)",
    ),
    Mutant("sends PREPARED before the write", (TargetHandoff, "_offer"), sends_first(Prepared), LOST),
    Mutant("releases without a record", (SourceHandoff, "_prepared"), without(fx.Persist), LOST),
    Mutant(
        "releases in its record only", (SourceHandoff, "_prepared"), without(fx.ReleaseJob),
        "people are told HandoffInDoubt, but the job is <Ownership.OWNED: 'owned'>",
    ),
    Mutant(
        "aborts past the commit point",
        (TRANSITIONS, (SourceState.RELEASED, SourceStep.ABORTED)),
        always_the_state(SourceState.OWNED),
        "people are told HandoffAborted, but the job is <Ownership.RELEASED: 'released'>",
    ),
    Mutant(
        "forgets on restart that it released", (routing, "recover"),
        forgets_records("source", SourceState.RELEASED), ENDLESS, fair=True,
    ),
    Mutant(
        "answers ABORT while it is undecided", (SourceHandoff, "step"), answers_while_undecided, LOST,
        Bounds(moves=1, failures=0, network=2),
    ),
    Mutant(
        "answers without looking at its records", (strays, "answer_at_source"), answers_strays_blindly,
        ENDLESS, fair=True,
    ),
    Mutant(
        "answers COMMIT for what it never released", (strays, "answer_at_source"),
        commits_what_stayed, TWO_OWNERS,
    ),
    Mutant("never asks while in doubt", (TargetHandoff, "_tick"), never_asks, STUCK, fair=True),
    Mutant("gives up waiting in doubt", (TargetHandoff, "_tick"), gives_up_waiting, LOST),
    Mutant("aborts without a thaw", (SourceHandoff, "_abort"), without(fx.Thaw), STUCK, fair=True),
    Mutant(
        "owns without a new epoch", (TargetHandoff, "_commit"), owns_at_the_epoch_offered,
        "epoch 1 follows epoch 1",
    ),
    Mutant(
        "takes chunks again", (IncomingStream, "take"), takes_chunks_again, LOST,
        Bounds(moves=1, failures=1, network=2),
    ),
    Mutant(
        "begins to move what it gave away", (routing, "may_leave"), always(True),
        "people are told HandoffAborted, but the job is <Ownership.RELEASED: 'released'>", TWO,
    ),
    Mutant(
        "names two hand-offs alike", (Events, "begin"), reuses_names, LOST,
        Bounds(moves=2, failures=0, network=2),
    ),
    Mutant(
        "runs before the source has confirmed an old COMMIT", (TargetHandoff, "_commit"),
        changed(fx.OwnJob, certain=True), TWO_OWNERS, FORCED,
    ),
    Mutant(
        "forgets whom it has the job of", (TargetHandoff, "_commit"), forgets_its_source, TWO_OWNERS,
        FORCED,
    ),
    Mutant(
        "runs after a crash without asking", (routing, "waits_for_word"), always(False), TWO_OWNERS, FORCED
    ),
    Mutant(
        "erases an offer with its abort", (SourceHandoff, "_abort"), erases_what_was_offered, TWO_OWNERS,
        FORCED,
    ),
    Mutant(
        "confirms what it took back", (strays, "answer_at_source"), closes_what_was_taken_back, TWO_OWNERS,
        FORCED,
    ),
    Mutant(
        "takes back at an epoch that the other may have", (SourceHandoff, "_reclaim"),
        forces_one_epoch_only, "force gives epoch 2, and epoch 2 was owned", FORCED,
    ),
    Mutant(
        "keeps a job whatever others say", (claims, "judge"), always(Judged(Judgement.KEEP)), TWO_OWNERS,
        FORCED,
    ),
    Mutant(
        "is silent about what arrives where it knows an earlier epoch", (claims, "claims_of"),
        says_one_thing_only, TWO_OWNERS, FORCED_THERE_AND_BACK,
    ),
)
"""Rules of the design, each left out."""
