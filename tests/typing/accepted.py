"""What type checkers must accept, and the types that they must find: read by them, never run."""

from __future__ import annotations

from typing import Any, assert_type

from sojourn import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, event, slot
from sojourn.testing import Fault, FlowTester, LogLine, TurnReport, TurnResult, run_turn


class Fetch(Routine):
    def process(self, url: str) -> None:
        self.emit("output", body=url, size=len(url))
        assert_type(self.attempt, int)
        assert_type(self.turn_id, str)
        assert_type(self.job_id, str)
        assert_type(self.progress, dict[str, Any])
        assert_type(self.should_yield, bool)
        assert_type(self.time_left, float | None)
        assert_type(self.ask("Go on?", slot="input"), str)
        self.shared["pages"] = 1
        self.shared.add("pages", 1)
        self.shared.append("urls", url)
        self.log.info("fetched", url=url)
        self.log.warning("%d of %d", 1, 2)
        self.log.exception("failed")
        self.set_result(url=url)
        self.checkpoint()


class Load(Routine):
    transient = ("connection",)
    keep_state_on_failure = True

    def __init__(self, dsn: str) -> None:
        self.dsn, self.rows = dsn, 0

    def activate(self) -> None:
        self.connection = object()

    @event
    def loaded(self, row: int, table: str = "pages") -> None: ...

    @slot
    def page(self, body: str) -> None:
        self.loaded(1)
        self.loaded(row=2, table="words")

    @slot
    def row(self, row: int, table: str = "pages") -> None:
        """Take what ``loaded`` gives."""

    @slot
    def wider(self, row: float, table: object = None, *, note: str = "") -> None:
        """Take more than ``loaded`` gives."""

    @slot
    def open(self, **fields: object) -> None:
        """Take any fields."""


class Anything(Routine):
    def process(self, data: object = None, **kwargs: object) -> None:
        """Override nothing: the base class has no ``process``."""


flow = Flow("typed", entry="fetch", error_handler=ErrorHandler(ErrorStrategy.CONTINUE))
fetch = flow.add_routine(Fetch(), "fetch", processes=4, parallel=True, timeout=2.5, grace=1)
load = flow.add_routine(
    Load("data.db"), "load", ordered=True,
    error_handler=ErrorHandler(
        strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=0.3, retry_backoff=1.5, max_delay=60.0,
        jitter=0.1, retryable_exceptions=(ConnectionError, ValueError),
        non_retryable_exceptions=(FileNotFoundError,), on_exhausted=ErrorStrategy.SKIP,
    ),
)
assert_type(fetch, Fetch)
assert_type(load, Load)
load.set_error_handler(ErrorHandler())
load.page(body="x")
flow.connect("fetch", "output", "load", "page")
flow.connect(load.loaded, load.row)
flow.connect(load.loaded, load.wider)
flow.when_idle("load", "page")
assert_type(flow.digest, str)
assert_type(flow.serialize(), dict[str, object])
assert_type(Flow.deserialize({}), Flow)
assert_type(flow.find_routines_by_type(Load), list[str])

result = run_turn(Load("data.db"), "page", body="x")
assert_type(result, TurnResult)
assert_type(result.emitted, list[tuple[str, dict[str, Any]]])

tester = FlowTester(
    flow, move_every_turn=True, crash_every_turn=True, restart_every_turn=False, seed=7,
    replace={"fetch": Anything()}, job_id="typed", host="a", start=0.0,
)
assert_type(tester.submit({"url": "x"}, more=1), str)
assert_type(tester.run(until="load.failed > 1", turns=10), JobState)
assert_type(tester.step("crash", after=2), TurnReport | None)
assert_type(tester.advance(3600), JobState)
tester.answer({"text": "yes"}, question="q", more=1)
tester.move("b", seconds=1.5)
tester.crash(seconds=1.5)
assert_type(tester.job, JobState)
assert_type(tester.outcomes("load"), list[str])
assert_type(tester.result(), dict[str, Any])
assert_type(tester.turns, list[TurnReport])
assert_type(tester.logs, list[LogLine])
assert_type(tester.elapsed, float)
fault: Fault = "interrupt"
