"""An actor process, played: it keeps what a process keeps and runs one turn at a time, in this thread.

Knows nothing of retries, faults or commits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.shared_map import SharedState
from sojourn.actors.tester.blobs import MemoryBlobs
from sojourn.actors.turn import Surroundings, describe_error, run_turn
from sojourn.runtime.pool import Worker
from sojourn.runtime.wire.actor import Dispatch, Ending, JobContext, Result, Turn


class PlayedProcess:
    """One process of a routine.

    Args:
        worker: what the dispatcher knows of it.
        loaded: the routine.
        blobs: where large values are.

    Attributes:
        turn: the turn that it was sent and hasn't ended.
        running: whether that turn has begun.
        raised: what the handler of the last turn raised.
        results: how many it has made so far.
    """

    def __init__(self, worker: Worker, loaded: LoadedRoutine, blobs: MemoryBlobs) -> None:
        self.worker = worker
        self.loaded = loaded
        self.turn: Turn | None = None
        self.running = False
        self.raised: BaseException | None = None
        self._blobs = blobs
        self._shared = SharedState()
        self._context: JobContext | None = None
        self._actor: Actor | None = None
        self.results = 0

    def take(self, dispatch: Dispatch) -> None:
        """Take in a batch of the only job; its one turn waits until it is run."""
        self._shared.acknowledge(dispatch.acknowledged)
        for context in dispatch.contexts:
            self._shared.update(context.shared, whole=context.shared_whole)
            if context.attributes is not None or self._context is None:
                self._context = context
                self._actor = None
        (self.turn,) = dispatch.turns

    def run(self, turn: Turn, surroundings: Surroundings) -> Result:
        """Run the turn that waits and was said to be running."""
        self.raised = None
        try:
            if self._actor is None:
                self._actor = self._make_actor()
            return run_turn(self._actor, turn, surroundings, time.time())
        except BaseException as error:  # noqa: BLE001 - a constructor or `activate` may raise anything
            self.raised = error
            return Result(
                turn.dispatch, Ending.FAILED, time.time(), time.time(),
                error=describe_error(self.loaded, error),
            )
        finally:
            self.results += 1
            self.running = False
            self.turn = None

    def _make_actor(self) -> Actor:
        assert self._context is not None  # it came before the turn
        actor = Actor(self.loaded, self._context, self._blobs, shared=self._shared)
        for slot in self.loaded.handlers:
            actor.calls[slot] = self._watched(actor.bind(slot))
        return actor

    def _watched(self, handler: Callable[..., object]) -> Callable[..., object]:
        """Keep what a handler raises, for the test to look into."""

        # Any kind of field, as the handler's own.
        def call(**fields: object) -> object:
            try:
                return handler(**fields)
            except BaseException as error:
                self.raised = error
                raise

        return call
