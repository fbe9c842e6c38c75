"""The Python client: the signatures that are promised, and what its page says of threads."""

from __future__ import annotations

import inspect

import pytest

from sojourn import Client


@pytest.mark.parametrize(
    ("verb", "signature"),
    [
        ("__init__", "(self, home=None, *, host=None)"),
        ("submit", "(self, flow, data=None, /, *, job_id=None, priority=0, **input)"),
        ("submit_many", "(self, flow, inputs, *, job_ids=None, priority=0)"),
        ("wait", "(self, job, *, until=None, timeout=None)"),
        ("wait_all", "(self, jobs, *, timeout=None)"),
        ("pause", "(self, job)"),
        ("resume", "(self, job, data=None, /, *, question=None, **input)"),
        ("cancel", "(self, job)"),
        ("retry", "(self, job)"),
        ("forget", "(self, job)"),
        ("import_file", "(self, file)"),
        ("resume_document", "(self, flow, job_state)"),
    ],
)
def test_the_verbs_take_what_is_promised(verb: str, signature: str) -> None:
    found = inspect.signature(getattr(Client, verb))
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()]
    assert str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == signature


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("show", ["job"]),
        ("result", ["job"]),
        ("migrate", ["jobs", "to", "grace"]),
        ("export", ["job", "file"]),
    ],
)
def test_the_verbs_with_more_options_take_these_first(verb: str, given: list[str]) -> None:
    assert list(inspect.signature(getattr(Client, verb)).parameters)[1 : len(given) + 1] == given


def test_a_client_says_that_it_belongs_to_one_thread() -> None:
    assert "Not thread-safe" in (Client.__doc__ or "")
