"""LongRunning → Failing → Success: a step that fails at every attempt, with four retries.

    sojourn up --name a --listen tcp://127.0.0.1:7001 --path examples
    sojourn submit seed:flow --job-id seed
    sojourn wait seed --until 'failing.retry_count >= 2'
    sojourn migrate seed --to b          # after pairing: sojourn invite, sojourn join

Attempts 3, 4 and 5 are then made on ``b``, and the job fails there with its retry count at 4 of 4.
"""

from __future__ import annotations

import time

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine


class LongRunning(Routine):
    def process(self, data: str = "some data") -> None:
        time.sleep(1.0)
        self.emit("output", data=data)


class Failing(Routine):
    keep_state_on_failure = True

    def __init__(self, delay: float = 0.5) -> None:
        self.delay = delay
        self.attempt_count = 0

    def process(self, data: object = None, **_kwargs: object) -> None:
        self.attempt_count += 1
        time.sleep(self.delay)
        raise ValueError(f"Simulated failure on attempt {self.attempt_count}")


class Success(Routine):
    def process(self, data: object = None) -> None:
        self.set_result(reached=True)


flow = Flow("retry_demo")
flow.add_routine(LongRunning(), "long_running")
failing = Failing()
failing.set_error_handler(
    ErrorHandler(
        strategy=ErrorStrategy.RETRY,
        max_retries=4,
        retry_delay=0.3,
        retry_backoff=1.5,
        retryable_exceptions=(ValueError,),
    )
)
flow.add_routine(failing, "failing")
flow.add_routine(Success(), "success")
flow.connect("long_running", "output", "failing", "input")
flow.connect("failing", "output", "success", "input")
