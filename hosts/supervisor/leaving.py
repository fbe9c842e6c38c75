"""How a supervisor comes to its end by signals: SIGTERM drains first where ``--drain-to`` says so; whatever
signal comes after that ends it at once, which is safe.
"""

from __future__ import annotations

import signal
import socket
import sys

from sojourn.hosts.supervisor.cordoning import Cordoning
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.draining import Draining
from sojourn.hosts.supervisor.service import Service
from sojourn.runtime.errors import NotFound, UsageError
from sojourn.runtime.moved import Json, Outcome
from sojourn.runtime.wire.whole_hosts import Drain

MORE_TIME = 60
"""Seconds that the service manager is asked to wait at every move that is done, beyond what it waits."""


EXTEND = f"EXTEND_TIMEOUT_USEC={MORE_TIME}000000"

TELL_EVERY = 0.25
"""Seconds between two lines of news for the service manager."""


class Signals:
    """SIGTERM, SIGINT and SIGHUP as something to poll.

    Attributes:
        count: how many came.
        first: the first of them; None for none.
        descriptor: becomes readable with each.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self._ends = (ours, theirs)
        self.descriptor = ours.fileno()
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: object) -> None:
        self.count += 1
        if self.first is None:
            self.first = number


class Leaving:
    """The way from a signal to the end of the rounds.

    Args:
        core: shared state.
        signals: that came.
        cordoning: closes the host to new jobs.
        draining: moves them away.
        service: is told how far that is.
    """

    def __init__(
        self, core: Core, signals: Signals, cordoning: Cordoning, draining: Draining, service: Service
    ) -> None:
        self._core = core
        self._signals = signals
        self._cordoning = cordoning
        self._draining = draining
        self._service = service
        self._begun = False
        self._told = ""
        self._tell_from = 0.0

    def due(self) -> bool:
        """Whether the supervisor is to stop now; begins the drain where one comes first."""
        core = self._core
        if core.stopping:
            return True
        if not self._signals.count:
            return False
        if not self._begun:
            return not self._drains()
        if self._signals.count > 1:
            core.log.warning("a second signal: the drain is given up")
            return True
        self._tell()
        if not self._draining.over:
            return False
        self._report()
        return True

    def hurried(self) -> bool:
        """Whether turns in flight get no more time: a signal came while the first one was seen to."""
        return self._signals.count > 1

    def _drains(self) -> bool:
        to = self._core.options.drain_to
        if to is None or self._signals.first != signal.SIGTERM:
            return False
        self._begun = True
        command = Drain(to)
        try:
            self._draining.check(command)
        except (NotFound, UsageError) as error:
            print(f"not drained: {error.message}", file=sys.stderr)
            return False
        # Not durable: whoever starts the host again wants it to take jobs again.
        self._cordoning.put(on=True, durable=False)
        self._draining.begin(None, command)
        self._service.tell("STOPPING=1", f"STATUS=draining to {to}", EXTEND)
        return True

    def _tell(self) -> None:
        """Ask for more time whenever something moved; a drain that stands still is not waited for."""
        now = self._core.now.monotonic
        if now < self._tell_from:
            return
        self._tell_from = now + TELL_EVERY
        said = self._draining.status()
        if said and said != self._told:
            self._told = said
            self._service.tell(f"STATUS={said}", EXTEND)

    def _report(self) -> None:
        left = [entry for entry in self._draining.entries if entry["outcome"] != Outcome.MOVED]
        for entry in left:
            self._core.log.warning("not drained", **_brief(entry))
        stay = [str(entry["job_id"]) for entry in left if entry["outcome"] == Outcome.STAYS]
        if stay:
            print(
                f"drained, but for {len(stay)} jobs that stay on host {self._core.host!r} and go on there "
                f"when it is up again: {', '.join(stay[:5])}; the log tells why",
                file=sys.stderr,
            )


def _brief(entry: Json) -> Json:
    return {"job": entry["job_id"], "outcome": entry["outcome"], "reason": entry["reason"]}
