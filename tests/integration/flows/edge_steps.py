"""A routine whose handlers do what well-behaved ones don't."""

from __future__ import annotations

import os
import signal
import sys
import time
from http import HTTPStatus

from sojourn import RetryLater, Routine


class LaterWithoutInit(RetryLater):
    """Doesn't call the constructor of its base."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted


class Mute(Exception):
    """Has no text, and insists on it."""

    def __str__(self) -> str:
        raise SystemExit("no text")


class Edge(Routine):
    """Does the act that it is made with.

    Args:
        act: name of one of its methods.
    """

    def __init__(self, act: str) -> None:
        self.act = act

    def process(self) -> None:
        getattr(self, f"_{self.act}")()

    def _unlucky(self) -> None:
        from edge_errors import Unlucky  # not at the top: that is what is tested

        if self.attempt == 1:
            raise Unlucky("once")
        self.set_result(attempt=self.attempt)

    def _later(self) -> None:
        if self.attempt == 1:
            raise LaterWithoutInit("more time")
        self.set_result(attempt=self.attempt)

    def _mute(self) -> None:
        raise Mute

    def _status(self) -> None:
        if self.attempt == 1:
            self.status = HTTPStatus.NOT_FOUND
            self.checkpoint()
            raise ValueError("after the checkpoint")
        self.set_result(status=repr(self.status))

    def _imports(self) -> None:
        import edge_values  # not at the top: that is what is tested

        self.emit("output", size=edge_values.Size.LARGE)

    def _forks(self) -> None:
        child = os.fork()
        if child == 0:
            self.emit("output", by="the copy")
            return  # as if the copy were the actor itself
        _, status = os.waitpid(child, 0)
        self.set_result(status=os.waitstatus_to_exitcode(status))

    def _signals(self) -> None:
        """Print from a signal handler, often enough to hit every line of the writer."""
        told = 0

        def tell(_number: int, _frame: object) -> None:
            nonlocal told
            told += 1
            print("signal", told)

        signal.signal(signal.SIGALRM, tell)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            print("main")
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.set_result(signals=told > 0)

    def _logs(self) -> None:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        self.log.info("counted %d of %d", 3, 4, unit="pages")
        try:
            raise ValueError("what went wrong")
        except ValueError:
            self.log.exception("caught")
