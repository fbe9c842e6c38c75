"""Moves that tests hold in a phase: begun in the background, with a host that stands still at a moment."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil

from sojourn import Handoff, Refused
from sojourn.runtime.errors import SojournError
from sojourn.runtime.handoff.crash_points import STOP_VARIABLE, VARIABLE
from tests.integration.hosting import Effect, Host, read_effects
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


def hold_a_turn(host: Host, hold: Path, effects: Path, **ahead: int) -> Effect:
    """Hold a turn of ``crashing:waiting`` by its file while messages wait behind it in its process.

    How much is sent ahead follows the turns' measured time, which is longer at times on a busy machine.

    Args:
        host: where it runs.
        hold: the file.
        effects: the file in which the turn leaves its trace.
        **ahead: job → how many of its messages must be sent ahead.
    """

    def enough() -> bool:
        there = host.messages_at("waiting")
        return all(there.get(job, 0) > number for job, number in ahead.items())

    for _ in range(20):
        known = len(read_effects(effects))
        wait_until(enough, 30.0, f"{ahead} to be sent ahead")
        hold.touch()
        wait_until(lambda: len(read_effects(effects)) > known, 30.0, "a turn to be held")  # noqa: B023
        try:
            wait_until(enough, 1.0)
        except AssertionError:
            hold.unlink()
            continue
        return read_effects(effects)[-1]
    raise AssertionError(f"never were {ahead} sent ahead")


def warm_up(host: Host, flow: str, **fields: Any) -> None:
    """Have a host import a flow's code, so that a move isn't held up by it."""
    host.submit(flow, "warms-up", **fields)
    with host.client() as client:
        client.wait("warms-up", until="history >= 1")
        try:
            client.cancel("warms-up")
        except Refused:
            return  # it has ended by itself
