"""How much of each mailbox is in memory, and whom a full one holds back.

A message for which there is no room is left to the store: only counted here, and read back later. Reads
nothing itself and decides nothing about attempts.
"""

from __future__ import annotations

from sojourn.runtime.engine.bounds import MESSAGE_BYTES, Bounds
from sojourn.runtime.engine.model import Actor, Job, Message


class Mailboxes:
    """All mailboxes of a host.

    Args:
        bounds: how much they may hold.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.room = bounds.mailbox
        """Messages that each keeps in memory now."""
        self.load = 0
        """About the bytes that all messages in memory take."""
        self.hungry: dict[tuple[int, str], Actor] = {}
        """(job row, routine) → actors of which more messages are to be read from the store."""

    def look_at_load(self) -> None:
        """Work out again how many messages each keeps in memory."""
        self.room = self.bounds.mailbox if self.load <= self.bounds.memory else self.bounds.few

    # --- what is in memory ----------------------------------------------------------------------------

    def keep(self, message: Message) -> None:
        """Keep a message in memory."""
        message.actor.job.messages[message.number] = message
        self.load += MESSAGE_BYTES + len(message.data)

    def leave(self, actor: Actor, first: int, count: int, size: int) -> None:
        """Leave messages to the store alone: newer than all that are in memory, and never tried.

        Args:
            actor: whose.
            first: the lowest number among them.
            count: how many.
            size: bytes of their data.
        """
        if not actor.stored:
            actor.stored_from = first
        actor.stored += count
        actor.stored_bytes += size
        actor.job.stored += count
        self.ask_for_more(actor)
        self.take_stock(actor)

    def ask_for_more(self, actor: Actor) -> None:
        """Have messages of an actor read back, where it is time."""
        if actor.stored and actor.wants(self.room // 2):
            self.hungry[(actor.job.row, actor.routine)] = actor

    def missing(self, actor: Actor) -> int:
        """Give how many messages of an actor to read back at once."""
        return max(self.room - len(actor.ready), self.room // 2, 1)

    def came_back(self, actor: Actor, message: Message) -> None:
        """A message that was left to the store is in memory."""
        self.keep(message)
        actor.stored -= 1
        actor.stored_bytes -= len(message.data)
        actor.job.stored -= 1

    def none_left(self, actor: Actor) -> None:
        """The store has nothing more of what was left to it: it lost rows, and nobody waits for them."""
        actor.job.stored -= actor.stored
        actor.stored = actor.stored_bytes = 0

    def drop(self, job: Job) -> None:
        """A job is forgotten."""
        self.load -= sum(MESSAGE_BYTES + len(message.data) for message in job.messages.values())
        job.messages.clear()
        job.stored = 0
        for actor in job.actors.values():
            actor.ready.clear()
            actor.stored = 0
            self.hungry.pop((job.row, actor.routine), None)

    # --- whom a full one holds back -------------------------------------------------------------------

    def take_stock(self, actor: Actor) -> None:
        """Look whether a mailbox is full, and hold what feeds it from outside its cycle."""
        if actor.full or actor.queued() < self.bounds.mailbox:
            return
        actor.full = True
        for feeder in self._feeders(actor):
            feeder.held_by += 1

    def has_room_again(self, actor: Actor) -> list[Actor]:
        """A mailbox is full no more: let what feeds it go on, and give those that now have work."""
        actor.full = False
        freed: list[Actor] = []
        for feeder in self._feeders(actor):
            feeder.held_by -= 1
            if feeder.has_work():
                freed.append(feeder)
        return freed

    def _feeders(self, actor: Actor) -> list[Actor]:
        """Give those that there are; one that is made later counts for itself who holds it."""
        job = actor.job
        return [job.actors[name] for name in job.plan.feeders[actor.routine] if name in job.actors]
