"""An agent: fans a question out over sub-questions, gathers the answers, asks before it publishes.

    sojourn up --path examples
    sojourn submit agent:flow --job-id agent --input '{"question": "How do tides work?"}'
    sojourn wait agent --until "status == 'paused'"
    sojourn show agent                                     # the draft, and the question
    sojourn resume agent --input '{"approved": true}'      # on whatever host it is by then

It may be moved while it waits. The model is a stand-in (``think``) that needs no network and always says
the same; put a real call there, with ``self.turn_id`` as its idempotency key.
"""

from __future__ import annotations

import time

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, event, slot

ASPECTS = ("causes", "history", "measurements", "open questions")


def think(prompt: str) -> str:
    """Stand in for a model: slow, and deterministic."""
    time.sleep(0.1)
    return f"In short, about {prompt}: {len(prompt)} things are known."


class Plan(Routine):
    """Breaks the question up."""

    @event
    def sub_question(self, place: int, text: str) -> None: ...

    def process(self, question: str) -> None:
        self.shared["question"] = question
        for place, aspect in enumerate(ASPECTS):
            self.sub_question(place=place, text=f"the {aspect} of {question!r}")


class Research(Routine):
    """Answers one sub-question; the first try of one of them fails, as calls to models do."""

    @event
    def answered(self, place: int, answer: str) -> None: ...

    @slot
    def sub_question(self, place: int, text: str) -> None:
        if place == 1 and self.attempt == 1:
            raise TimeoutError("the model didn't answer")
        self.answered(place=place, answer=think(text))


class Write(Routine):
    """Gathers the answers into a draft, asks for approval, publishes."""

    def __init__(self) -> None:
        self.answers: dict[int, str] = {}
        self.draft = ""

    @slot
    def answered(self, place: int, answer: str) -> None:
        self.answers[place] = answer

    @slot
    def gathered(self, succeeded: int, skipped: int, failed: int) -> None:
        self.draft = "\n".join(self.answers[place] for place in sorted(self.answers))
        self.ask(f"Publish this draft?\n{self.draft}", slot="decided")

    @slot
    def decided(self, approved: bool) -> None:
        self.set_result(
            question=self.shared["question"], published=approved, text=self.draft if approved else ""
        )


flow = Flow("agent")
plan = flow.add_routine(Plan(), "plan")
research = flow.add_routine(
    Research(),
    "research",
    processes=4,
    parallel=True,
    error_handler=ErrorHandler(
        strategy=ErrorStrategy.RETRY, retry_delay=0.2, retryable_exceptions=(TimeoutError,)
    ),
)
write = flow.add_routine(Write(), "write")
flow.connect(plan.sub_question, research.sub_question)
flow.connect(research.answered, write.answered)
flow.when_idle("write", "gathered")
