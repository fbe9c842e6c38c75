"""Moves that tests hold in a phase: begun in the background, with a host that stands still at a moment."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future
from typing import Any

import psutil

from sojourn import Handoff
from sojourn.runtime.errors import SojournError
from sojourn.runtime.handoff.crash_points import STOP_VARIABLE, VARIABLE
from tests.integration.hosting import Host
from tests.waiting import wait_until


def dying_at(point: str) -> dict[str, str]:
    """Give the environment in which a supervisor dies at a moment."""
    return {VARIABLE: point}


def stopping_at(point: str) -> dict[str, str]:
    """Give the environment in which a supervisor stands still at a moment."""
    return {STOP_VARIABLE: point}


def begin_move(source: Host, job: str, target: Host, *, grace: float | None = None) -> Future[Handoff]:
    """Move a job without waiting for it; what the future raises is what the client would have raised."""
    future: Future[Handoff] = Future()

    def move() -> None:
        try:
            future.set_result(source.migrate(job, target, grace=grace))
        except SojournError as error:
            future.set_exception(error)

    threading.Thread(target=move, daemon=True).start()
    return future


def wait_stopped(host: Host) -> None:
    """Wait until a supervisor stands still."""
    wait_until(
        lambda: psutil.Process(host.pid).status() == psutil.STATUS_STOPPED, 30.0,
        f"host {host.name} to stand still{host.log_tail()}",
    )


def go_on(host: Host) -> None:
    """Let a supervisor that stands still go on."""
    os.kill(host.pid, signal.SIGCONT)


def warm_up(host: Host, flow: str, **fields: Any) -> None:
    """Have a host import a flow's code, so that a move isn't held up by it."""
    host.submit(flow, "warms-up", **fields)
    with host.client() as client:
        if client.wait("warms-up", until="history >= 1").status != "completed":
            client.cancel("warms-up")
