"""Flows of the tester's own tests: each has one trait that a test looks at."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from sojourn import ErrorHandler, ErrorStrategy, Flow, GiveUp, Routine, event, slot

RETRY = ErrorHandler(
    strategy=ErrorStrategy.RETRY, max_retries=3, retry_delay=3600.0, retry_backoff=2.0, max_delay=1e6
)


class Flaky(Routine):
    """Fails until its last attempt."""

    def __init__(self, failures: int = 2) -> None:
        self.failures = failures
        self.handled = 0

    def process(self, name: str = "x") -> None:
        print(f"attempt {self.attempt} at {name}")
        self.log.info("tried")
        self.handled += 1
        if self.attempt <= self.failures:
            raise ConnectionError(f"attempt {self.attempt}")
        self.set_result(name=name, attempts=self.attempt, handled=self.handled)
        self.emit("output", name=name)


def flaky(failures: int = 2, **options: Any) -> Flow:
    flow = Flow("flaky")
    flow.add_routine(Flaky(failures), "flaky", error_handler=RETRY, **options)
    return flow


class Forgetful(Routine):
    """Counts in a private attribute, which nobody saves."""

    def __init__(self) -> None:
        self.counted = 0
        self._seen = 0

    def process(self, numbers: int) -> None:
        for number in range(numbers):
            self.emit("output", number=number)

    @slot
    def number(self, number: int) -> None:
        self._seen += 1
        self.counted = self._seen


def forgetful() -> Flow:
    flow = Flow("forgetful", entry="counting")
    flow.add_routine(Forgetful(), "counting")
    flow.connect("counting", "output", "counting", "number")
    return flow


class Unstorable(Routine):
    def process(self) -> None:
        self.made = object()


class Steps(Routine):
    """Does its work in steps with a checkpoint after each, and notes every one that it really did."""

    def __init__(self, steps: int = 3) -> None:
        self.steps = steps
        self.total = 0

    @event
    def done(self, step: int) -> None: ...

    def process(self) -> None:
        for step in range(int(self.progress.get("next", 0)), self.steps):
            self.total += step
            self.done(step=step)
            self.shared.append("done", step)
            self.progress["next"] = step + 1
            print(f"step {step}")
            self.checkpoint()
        self.set_result(total=self.total)


class Gather(Routine):
    def __init__(self) -> None:
        self.seen: list[int] = []

    @slot
    def take(self, step: int) -> None:
        self.seen.append(step)


def steps(count: int = 3, **options: Any) -> Flow:
    flow = Flow("steps")
    retry = ErrorHandler(ErrorStrategy.RETRY, retry_delay=1.0)
    stepping = flow.add_routine(Steps(count), "stepping", error_handler=retry, **options)
    gather = flow.add_routine(Gather(), "gather")
    flow.connect(stepping.done, gather.take)
    return flow


class Repeating(Routine):
    """Begins anew whenever it runs again, whatever its checkpoints kept."""

    def process(self, steps: int) -> None:
        for _ in range(steps):
            self.checkpoint()
        self.set_result(steps=steps)


class Stubborn(Routine):
    """Holds up whatever ends it, and goes on."""

    def process(self) -> None:
        for step in range(4):
            try:
                self.shared.append("steps", step)
                print(f"step {step}")
                self.checkpoint()
            except BaseException:  # noqa: BLE001 - what is tested is that this doesn't help
                continue


class Sleeper(Routine):
    """Sleeps, and says what the clocks showed."""

    def __init__(self) -> None:
        self.cleaned = 0

    def process(self, seconds: float = 0.0, swallow: bool = False) -> None:
        before = time.time(), time.monotonic(), time.perf_counter(), time.time_ns(), time.monotonic_ns()
        try:
            time.sleep(seconds)
        except BaseException:
            self.shared["never"] = "committed"
            if not swallow:
                raise
        after = time.time(), time.monotonic(), time.perf_counter(), time.time_ns(), time.monotonic_ns()
        spent = [b - a for a, b in zip(before, after, strict=True)]
        self.set_result(began=before[0], spent=spent[:3], spent_ns=spent[3:])


class Waiter(Routine):
    """Waits in the way of programs that keep to a deadline."""

    def process(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(seconds / 4)
        self.set_result(waited=True)


class Patient(Routine):
    """Works in short sleeps until someone waits for it."""

    def process(self) -> None:
        while not self.should_yield:
            time.sleep(1.0)
        left = self.time_left
        assert left is not None
        self.set_result(left=left)
        time.sleep(left - 1.0)


class Asker(Routine):
    """Asks twice, and keeps the answers."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def process(self, timeout: float | None = None, twice: bool = False) -> None:
        self.ask("Go on?", slot="answered", timeout=timeout)
        if twice:
            self.ask("Sure?", slot="answered", timeout=timeout)

    @slot
    def answered(self, text: str = "", timed_out: bool = False) -> None:
        self.answers.append("nobody" if timed_out else text)
        self.set_result(answers=self.answers)


class Spread(Routine):
    @event
    def item(self, number: int) -> None: ...

    def process(self, numbers: int) -> None:
        for number in range(numbers):
            self.item(number=number)


class Work(Routine):
    """Notes in the shared map what it saw there when it began."""

    @event
    def worked(self, number: int) -> None: ...

    @slot
    def item(self, number: int) -> None:
        self.shared.append("saw", (number, len(self.shared.get("saw", []))))
        self.shared.add("sum", number)
        self.worked(number=number)


class Collect(Routine):
    def __init__(self) -> None:
        self.order: list[int] = []

    @slot
    def worked(self, number: int) -> None:
        self.order.append(number)

    @slot
    def over(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(order=self.order, counts=(succeeded, skipped, failed), sum=self.shared["sum"])


def fan(processes: int = 3) -> Flow:
    flow = Flow("fan")
    spread = flow.add_routine(Spread(), "spread")
    work = flow.add_routine(Work(), "work", processes=processes, parallel=True)
    collect = flow.add_routine(Collect(), "collect")
    flow.connect(spread.item, work.item)
    flow.connect(work.worked, collect.worked)
    flow.when_idle("collect", "over")
    return flow


class Odd(Routine):
    """Fails at odd numbers; the second attempt succeeds where retries are given."""

    @slot
    def item(self, number: int) -> None:
        if number % 2 and self.attempt == 1:
            raise ValueError(f"{number} is odd")
        self.emit("output", number=number)


class Dead(Routine):
    def __init__(self) -> None:
        self.letters: list[str] = []
        self.order: list[int] = []

    @slot
    def letter(self, slot: str, data: dict[str, int], error: dict[str, str]) -> None:
        self.letters.append(f"{slot} {data['number']}: {error['type']}: {error['message']}")

    @slot
    def passed(self, number: int) -> None:
        self.order.append(number)


def odd(handler: ErrorHandler, *, ordered: bool = False) -> Flow:
    flow = Flow("odd")
    spread = flow.add_routine(Spread(), "spread")
    filtering = flow.add_routine(Odd(), "odd", error_handler=handler, ordered=ordered)
    flow.add_routine(Dead(), "dead")
    flow.connect(spread.item, filtering.item)
    flow.connect("odd", "failed", "dead", "letter")
    flow.connect("odd", "output", "dead", "passed")
    return flow


class Large(Routine):
    """Keeps a value that is too large for a row, in every place where one can be."""

    def __init__(self) -> None:
        self.body = b""

    def process(self, body: bytes) -> None:
        self.body = body
        self.shared["body"] = body
        self.progress["body"] = body
        self.checkpoint()
        self.emit("output", body=body)

    @slot
    def again(self, body: bytes) -> None:
        self.set_result(same=body == self.body == self.shared["body"], size=len(body))


def large() -> Flow:
    flow = Flow("large", entry="large")
    flow.add_routine(Large(), "large")
    flow.connect("large", "output", "large", "again")
    return flow


class Endless(Routine):
    def process(self, n: int = 0) -> None:
        self.emit("output", n=n + 1)


def endless() -> Flow:
    flow = Flow("endless", entry="endless")
    flow.add_routine(Endless(), "endless")
    flow.connect("endless", "output", "endless", "input")
    return flow


class RunsALoop(Routine):
    def process(self) -> None:
        async def answer() -> int:
            await asyncio.sleep(0)
            return 42

        self.set_result(answer=asyncio.run(answer()), file=os.path.basename(__file__))


class Raises(Routine):
    """Raises what a test calls for by its name."""

    def process(self, what: str) -> None:
        raise {
            "interrupt": KeyboardInterrupt, "exit": SystemExit, "give up": GiveUp,
            "assertion": AssertionError, "outcome": BaseException,
        }[what](f"raised {what}")


class BadStart(Routine):
    def activate(self) -> None:
        raise OSError("no connection")

    def process(self) -> None:
        """Never get here."""


class FakeSpread(Routine):
    """Stands in for ``Spread``."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    @event
    def item(self, number: int) -> None: ...

    def process(self, numbers: int) -> None:
        for number in self.numbers:
            self.item(number=number)


def one(routine: Routine, **options: Any) -> Flow:
    """Give a flow of one routine."""
    flow = Flow("one")
    flow.add_routine(routine, "only", **options)
    return flow
