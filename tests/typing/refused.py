"""What type checkers must refuse: mypy's errors in this file are exactly those that its lines announce."""

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, event, slot
from sojourn.testing import FlowTester


class Load(Routine):
    @event
    def loaded(self, row: int) -> None: ...

    @slot
    def row(self, row: int) -> None:
        self.emit()  # error: [call-arg]
        self.emit(3)  # error: [arg-type]
        self.loaded()  # error: [call-arg]
        self.loaded("one")  # error: [arg-type]
        self.loaded(row=1, column=2)  # error: [call-arg]
        self.attempt = 3  # error: [misc]
        self.progress = {}  # error: [misc]
        self.ask("Go on?")  # error: [call-arg]
        self.ask("Go on?", slot="row", timeout="5 s")  # error: [arg-type]
        self.shared[3] = 1  # error: [index]
        self.shared.add("rows", "one")  # error: [arg-type]

    @slot
    def text(self, text: str) -> None:
        """Take another field."""

    @slot
    def other_type(self, row: str) -> None:
        """Take the field as another type."""

    @slot
    def wrong(self, row: int) -> int:
        return row

    @event  # error: [arg-type]
    def returns(self, row: int) -> int:
        return row


flow = Flow(3)  # error: [arg-type]
load = flow.add_routine(Load(), "load")
load.missing  # error: [attr-defined]
flow.add_routine(Load, "class")  # error: [type-var]
flow.add_routine(Load(), "many", processes="4")  # error: [arg-type]
flow.add_routine(Load(), "strategy", error_handler=ErrorStrategy.SKIP)  # error: [arg-type]
flow.connect(load.loaded, load.row)
flow.connect(load.loaded, load.text)  # error: [misc]
flow.connect(load.loaded, load.other_type)  # error: [misc]
flow.connect(load.loaded, load.wrong)  # error: [arg-type]
flow.connect("load", "loaded", "load")  # error: [call-overload]
flow.connect(load.loaded, "load")  # error: [call-overload]
ErrorHandler(strategy="retry")  # error: [arg-type]
ErrorHandler(retryable_exceptions=(ValueError(),))  # error: [arg-type]
ErrorHandler(retries=3)  # error: [call-arg]
FlowTester(load)  # error: [arg-type]
FlowTester(flow).step("explode")  # error: [arg-type]
FlowTester(flow).advance("1 h")  # error: [arg-type]
