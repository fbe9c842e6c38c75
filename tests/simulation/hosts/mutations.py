"""Changes of the shipped supervisor that a simulation must notice: each breaks one thing that it promises.

Those of ``FOUND`` bring back what the simulation found when it was new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sojourn.hosts.supervisor.copying import Copying
from sojourn.hosts.supervisor.core import Asker, Core, Outgoing, ToPeer
from sojourn.hosts.supervisor.desk import Desk
from sojourn.hosts.supervisor.moves import Moves
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.runtime.engine import load, settle
from sojourn.runtime.engine.book import Book
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Interrupt, Now, Round, Thaw
from sojourn.runtime.engine.mailboxes import Mailboxes
from sojourn.runtime.engine.model import Actor, Message
from sojourn.runtime.handoff import routing
from sojourn.runtime.handoff.parts import Final
from sojourn.runtime.handoff.source import Patience, SourceHandoff
from sojourn.runtime.handoff.table import TargetState
from sojourn.runtime.handoff.target import TargetHandoff
from sojourn.runtime.job import HandoffRow, JobImage, MessageRow
from sojourn.runtime.wire.actor import Dispatch, Turn
from sojourn.runtime.wire.handoff import Ack, Commit
from tests.simulation.hosts.memory_store import MemoryStore
from tests.simulation.hosts.processes import SimProcess

Mutation = Callable[[pytest.MonkeyPatch], None]


def messages_leave_before_their_commit(patch: pytest.MonkeyPatch) -> None:
    shipped = Reactor.commit

    def commit(self: Any) -> None:
        outbox, self._core.outbox = self._core.outbox, []
        for message in outbox:
            self._deliver(message)
        shipped(self)

    patch.setattr(Reactor, "commit", commit)


def an_ack_leaves_before_the_job_is_owned(patch: pytest.MonkeyPatch) -> None:
    _deliver_at_once(patch, Ack)


def a_commit_leaves_before_the_release(patch: pytest.MonkeyPatch) -> None:
    _deliver_at_once(patch, Commit)


def a_message_is_lost_when_more_are_read_from_disk(patch: pytest.MonkeyPatch) -> None:
    shipped = MemoryStore.waiting_messages

    def waiting_messages(self: Any, row: int, routine: str, first: int, limit: int) -> list[MessageRow]:
        return shipped(self, row, routine, first, limit + 1)[1:]

    patch.setattr(MemoryStore, "waiting_messages", waiting_messages)


def nobody_is_told_that_a_mailbox_has_room_again(patch: pytest.MonkeyPatch) -> None:
    shipped = Mailboxes.has_room_again

    def has_room_again(self: Mailboxes, actor: Actor) -> list[Actor]:
        shipped(self, actor)
        return []

    patch.setattr(Mailboxes, "has_room_again", has_room_again)


def _deliver_at_once(patch: pytest.MonkeyPatch, kind: type) -> None:
    """Let messages of a kind leave when they are queued."""
    shipped_init, shipped_send = Reactor.__init__, Core.send
    deliver: Callable[[Any, Outgoing], None] = vars(Reactor)["_deliver"]
    reactors: dict[int, Any] = {}

    def init(self: Any, core: Core, *arguments: Any) -> None:
        shipped_init(self, core, *arguments)
        reactors[id(core)] = self

    def send(self: Core, message: Outgoing) -> None:
        if isinstance(message, ToPeer) and isinstance(message.message, kind) and id(self) in reactors:
            deliver(reactors[id(self)], message)
        else:
            shipped_send(self, message)

    patch.setattr(Reactor, "__init__", init)
    patch.setattr(Core, "send", send)


def an_interruption_is_charged(patch: pytest.MonkeyPatch) -> None:
    shipped = settle.interrupt

    def interrupt(book: Book, round_: Round, given: Interrupt, now: Now) -> None:
        message = book.outstanding.get(given.dispatch)
        shipped(book, round_, given, now)
        if message is not None:
            message.attempts += 1

    patch.setattr(settle, "interrupt", interrupt)


def a_prepared_target_forgets_it_in_a_restart(patch: pytest.MonkeyPatch) -> None:
    shipped = routing.recover

    def recover(
        row: HandoffRow, own_store: str, patience: Patience
    ) -> SourceHandoff | TargetHandoff | None:
        return None if row.state == TargetState.PREPARED else shipped(row, own_store, patience)

    patch.setattr(routing, "recover", recover)


def a_released_job_is_taken_up_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    shipped = MemoryStore.live_jobs

    def live_jobs(self: Any) -> list[int]:
        released = [row for row, head in self.heads() if head.ownership.value == "released"]
        return sorted({*shipped(self), *released})

    patch.setattr(MemoryStore, "live_jobs", live_jobs)


def a_frozen_job_isnt_waited_for(patch: pytest.MonkeyPatch) -> None:
    shipped = Engine.step

    def step(self: Engine, *arguments: Any) -> Round:
        round_ = shipped(self, *arguments)
        round_.quiet.update(job.row for job in self.book.jobs.values() if job.frozen)
        return round_

    patch.setattr(Engine, "step", step)


def a_move_resets_retries(patch: pytest.MonkeyPatch) -> None:
    _change_row(patch, lambda row: row._replace(retry_count=0))


def a_move_forgets_backoffs(patch: pytest.MonkeyPatch) -> None:
    _change_row(patch, lambda row: row._replace(due=row.due and 1e-6))


def a_restart_forgets_backoffs(patch: pytest.MonkeyPatch) -> None:
    def last_seen(book: Book, image: JobImage) -> float:
        return 1e11

    patch.setattr(load, "_last_seen", last_seen)


def a_move_resets_attempts(patch: pytest.MonkeyPatch) -> None:
    _change_row(patch, lambda row: row._replace(attempts=0))


def _change_row(patch: pytest.MonkeyPatch, change: Callable[[MessageRow], MessageRow]) -> None:
    shipped: Callable[[Copying, Message], MessageRow] = vars(Copying)["_message_row"]

    def row(self: Copying, message: Message) -> MessageRow:
        return change(shipped(self, message))

    patch.setattr(Copying, "_message_row", row)


def a_move_lifts_a_pause(patch: pytest.MonkeyPatch) -> None:
    shipped: Callable[[Copying], Final] = vars(Copying)["_final"]

    def final(self: Copying) -> Final:
        found = shipped(self)
        return msgspec.structs.replace(found, head=msgspec.structs.replace(found.head, held=False))

    patch.setattr(Copying, "_final", final)


def what_changes_while_it_is_copied_isnt_sent_again(patch: pytest.MonkeyPatch) -> None:
    def note(self: Copying, writes: object) -> None: ...

    patch.setattr(Copying, "note", note)


def a_repeated_command_is_done_again(patch: pytest.MonkeyPatch) -> None:
    def seen(self: Desk, asker: Asker, command_id: str) -> bool:
        return False

    patch.setattr(Desk, "_seen", seen)


def an_aborted_handoff_leaves_its_job_frozen(patch: pytest.MonkeyPatch) -> None:
    shipped = Core.apply

    def apply(self: Core, *inputs: Any) -> None:
        shipped(self, *(given for given in inputs if not isinstance(given, Thaw)))

    patch.setattr(Core, "apply", apply)


def held_commands_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    def release(self: Desk, row: int) -> None: ...

    patch.setattr(Desk, "release_held", release)


def a_lost_commit_message_isnt_repeated(patch: pytest.MonkeyPatch) -> None:
    def link_back(self: Moves, peer: str) -> None: ...

    def repeat(self: SourceHandoff, now: float) -> list[object]:
        self.wake_at = None
        return []

    patch.setattr(Moves, "link_back", link_back)
    patch.setattr(SourceHandoff, "_repeat", repeat)


def an_ordered_actor_is_sent_more_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    def expect(message: Message) -> None: ...

    patch.setattr(settle, "_expect_the_rest", expect)


def an_ordered_process_runs_what_was_on_its_way(patch: pytest.MonkeyPatch) -> None:
    def still_wanted(self: SimProcess, batch: Dispatch) -> list[Turn]:
        return batch.turns

    patch.setattr(SimProcess, "_still_wanted", still_wanted)


def dues_stay_where_they_are_when_the_clock_is_set(patch: pytest.MonkeyPatch) -> None:
    def mind(self: Engine, round_: Round, now: Now) -> None: ...

    patch.setattr(Engine, "_mind_the_clock", mind)


def a_clock_that_was_set_back_while_down_is_believed(patch: pytest.MonkeyPatch) -> None:
    def last_seen(book: Book, image: JobImage) -> float:
        return 0.0

    patch.setattr(load, "_last_seen", last_seen)


PLANTED: tuple[Mutation, ...] = (
    messages_leave_before_their_commit,
    an_ack_leaves_before_the_job_is_owned,
    a_commit_leaves_before_the_release,
    an_interruption_is_charged,
    a_prepared_target_forgets_it_in_a_restart,
    a_released_job_is_taken_up_after_a_restart,
    a_frozen_job_isnt_waited_for,
    a_move_resets_retries,
    a_move_resets_attempts,
    a_move_forgets_backoffs,
    a_restart_forgets_backoffs,
    a_move_lifts_a_pause,
    what_changes_while_it_is_copied_isnt_sent_again,
    a_repeated_command_is_done_again,
    an_aborted_handoff_leaves_its_job_frozen,
    held_commands_are_forgotten,
    a_lost_commit_message_isnt_repeated,
    a_message_is_lost_when_more_are_read_from_disk,
    nobody_is_told_that_a_mailbox_has_room_again,
)

FOUND: tuple[Mutation, ...] = (
    an_ordered_actor_is_sent_more_after_a_failure,
    an_ordered_process_runs_what_was_on_its_way,
    dues_stay_where_they_are_when_the_clock_is_set,
    a_clock_that_was_set_back_while_down_is_believed,
)
