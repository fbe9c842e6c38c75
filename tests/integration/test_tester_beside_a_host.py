"""The tester beside a real host: the same flows and inputs, and the same documents but for their times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sojourn import ErrorHandler, ErrorStrategy, Flow
from sojourn.testing import FlowTester
from tests.actors.tester import flows
from tests.integration.conftest import MakeHost

ROOT = Path(__file__).parents[2]

# Any: inputs are the flows' own.
CASES: dict[str, tuple[Flow, dict[str, Any], str | None]] = {
    "waits for its retry": (flows.flaky(3), {"name": "x"}, "flaky.retry_count >= 1"),
    "in steps": (flows.steps(3), {}, None),
    "fans out and in": (flows.fan(processes=1), {"numbers": 5}, None),
    "large values": (flows.large(), {"body": b"x" * 100_000}, None),
    "dead letters": (flows.odd(ErrorHandler(ErrorStrategy.SKIP)), {"numbers": 4}, None),
    "fails": (flows.one(flows.Raises()), {"what": "give up"}, None),
    "cannot start": (flows.one(flows.BadStart()), {}, None),
    "asks": (flows.one(flows.Asker()), {"twice": True}, "status == 'paused'"),
    "cannot be stored": (flows.one(flows.Unstorable()), {}, None),
}


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from run to run: times, places, random ids, and order between routines."""
    left = {"instance", "created_at", "finished_at", "host", "handoffs"}
    found = {key: value for key, value in document.items() if key not in left}
    if found["error"] is not None:
        found["error"] = {**found["error"], "traceback": found["error"]["traceback"].splitlines()[-1]}
    found["history"] = sorted(
        (
            {
                key: value for key, value in entry.items()
                if key not in ("seq", "host", "code", "started_at", "ended_at")
            }
            for entry in document["history"]
        ),
        key=lambda entry: (entry["message"], entry["attempt"]),
    )
    found["waiting"] = [
        {key: value for key, value in asked.items() if key not in ("question", "since")}
        for asked in document["waiting"]
    ]
    found["pending"] = [
        {**entry, "due_in": None if entry["due_in"] is None else round(entry["due_in"], -2)}
        for entry in document["pending"]
    ]
    return found


@pytest.mark.xdist_group("beside a host")
def test_the_tester_comes_to_the_documents_of_a_host(make_host: MakeHost) -> None:
    host = make_host("a", paths=[ROOT]).up()
    with host.client() as client:
        for name, (flow, given, until) in CASES.items():
            job = client.submit(flow, given)
            real = client.wait(job, until=until, timeout=60.0)
            tester = FlowTester(flow, job_id=job)
            tester.submit(given)
            tested = tester.run(until=until)
            assert comparable(tested.serialize()) == comparable(real.serialize()), name
