"""Puts an actor process together: line to the supervisor, page, routine, loop."""

from __future__ import annotations

import faulthandler
import os
import sys

from setproctitle import setproctitle

from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.blobs import BlobFiles
from sojourn.actors.process.line import Line
from sojourn.actors.process.loop import ActorLoop
from sojourn.actors.process.mailbox import Mailbox
from sojourn.actors.process.page import PageWriter
from sojourn.runtime.wire.actor import Ready
from sojourn.runtime.wire.zygote import Fork

SWITCH_INTERVAL = 0.002
"""Seconds after which the line's second thread gets its turn while a handler computes."""


def run_process(fork: Fork, loaded: LoadedRoutine, code: str, flow_id: str) -> None:
    """Run one routine until the supervisor says stop.

    Args:
        fork: what the supervisor asked for.
        loaded: the routine.
        code: fingerprint of the code it was loaded from.
        flow_id: id of the flow, for the process's title.
    """
    if fork.memory_limit is not None:
        import resource  # noqa: PLC0415 - only where a limit was asked for

        resource.setrlimit(resource.RLIMIT_AS, (fork.memory_limit, fork.memory_limit))
    mailbox = Mailbox()
    page = PageWriter(fork.page)
    line = Line(fork.endpoint, fork.process, mailbox)
    # What can fail was done. The rest is done while the supervisor sends the first turns.
    line.hello(Ready(os.getpid(), code))
    setproctitle(f"sojourn-actor {flow_id}/{fork.routine}")
    if sys.__stdout__ is not None and sys.__stderr__ is not None:
        # Loggers that modules set up at import write here: line by line, while their turn runs.
        sys.__stdout__.reconfigure(line_buffering=True)
        faulthandler.enable(sys.__stderr__)
    loaded.classes.close()
    sys.setswitchinterval(SWITCH_INTERVAL)
    ActorLoop(loaded, mailbox, line, page, BlobFiles(fork.blobs)).run()
    line.finish()
