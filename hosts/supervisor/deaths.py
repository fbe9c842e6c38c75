"""What became of the messages that a dead process had: read from its page, told to the engine (G4).

The attempt that was executing failed by its own doing, or was interrupted; those that had finished, but
whose results were lost with the process, are interrupted too; the rest never began.
"""

from __future__ import annotations

import signal

import msgspec

from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.deaths import actor_crashed, turn_timed_out
from sojourn.runtime.engine.inputs import Interrupt, Settle, Unsend
from sojourn.runtime.pool import Worker
from sojourn.runtime.progress_page import Running
from sojourn.runtime.wire.actor import Ending, Result


class Death(msgspec.Struct, frozen=True):
    """How a process ended.

    Attributes:
        status: as of ``os.waitstatus_to_exitcode``.
        doom: why the supervisor killed it: ``timeout``, ``killed``, or nothing if it did not.
        dispatch: the attempt whose timeout that was.
        page: what it was doing; None if it never had a page.
    """

    status: int
    doom: str
    dispatch: int
    page: Running | None


def settle_dead(core: Core, worker: Worker, death: Death) -> None:
    """Say of every message that a dead process had what became of it."""
    if not worker.outstanding:
        return
    running = death.page
    begun = set[int]()
    if running is not None:
        begun = {entry.dispatch for entry in running.recent if entry.dispatch in worker.outstanding}
        if running.in_flight and running.begun in worker.outstanding:
            begun.discard(running.begun)
            _settle_running(core, worker, running, death)
    for dispatch in sorted(begun):
        core.apply(Interrupt(dispatch, core.now.wall, worker.code))
    core.apply(Unsend([number for number in worker.outstanding if number not in begun]))
    worker.outstanding.clear()


def _settle_running(core: Core, worker: Worker, running: Running, death: Death) -> None:
    message = worker.outstanding.pop(running.begun)
    handler = message.actor.handler
    own_timeout = death.doom == "timeout" and death.dispatch == running.begun
    if own_timeout:
        error = turn_timed_out(handler, message.actor.spec.timeout)
    elif death.doom:
        core.apply(Interrupt(running.begun, running.wall_start, worker.code))
        return
    else:
        error = actor_crashed(handler, worker.pool[1], describe_exit(death.status))
    result = Result(running.begun, Ending.FAILED, running.wall_start, core.now.wall, error=error)
    core.apply(Settle([result], worker.code))


def describe_exit(status: int) -> str:
    """Say how a process ended (``status`` as of ``os.waitstatus_to_exitcode``)."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}"
