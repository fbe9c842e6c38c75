"""Commands about several jobs, or a whole host: what they ask, what is told of each job, the exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sojourn.runtime.moved import Json, Outcome, moved_entry, other_entry
from sojourn.runtime.wire.client import Migrate
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany
from tests.hosts.cli.conftest import Sojourn
from tests.hosts.job_documents import handoff
from tests.hosts.recorded_supervisor import News, RecordedSupervisor, Said

MOVED = moved_entry({"job_id": "one", **handoff()})
STAYS = other_entry(
    "two", Outcome.STAYS, host="a", source="a", error="CodeNotLoadable", reason="host 'b' lacks module 'm'"
)
DOUBT = other_entry("three", Outcome.IN_DOUBT, host=None, source="a", target="b", reason="not acknowledged")
ENDED = other_entry("four", Outcome.ENDED, host="a", source="a", reason="completed")


@pytest.mark.parametrize(
    ("entries", "code"),
    [([MOVED], 0), ([MOVED, STAYS], 7), ([MOVED, STAYS, DOUBT], 8), ([DOUBT], 8), ([MOVED, ENDED], 0)],
    ids=["moved", "stays", "in doubt outweighs", "in doubt", "ended"],
)
def test_migrate_of_several_tells_where_each_is(
    sojourn: Sojourn, tmp_path: Path, entries: list[Json], code: int
) -> None:
    said: list[Said] = [News({"job_id": "one", "phase": "precopy", "bytes": 0, "total_bytes": 0}),
                        {"jobs": entries}]
    with RecordedSupervisor(tmp_path, lambda _: said) as supervisor:
        done = sojourn("migrate", "one", "two", "three", "--to", "b", "--home", tmp_path)
        for_machines = sojourn(
            "migrate", "one", "two", "--to", "b", "--grace", 2, "--home", tmp_path, "-o", "json"
        )
    assert (done.code, for_machines.code) == (code, code)
    assert json.loads(for_machines.out) == entries
    begins = {"one": "moved one", "two": "stays two", "three": "in doubt three", "four": "ended four"}
    lines = done.out.splitlines()
    assert len(lines) == len(entries)
    assert all(
        line.startswith(begins[entry["job_id"]]) for line, entry in zip(lines, entries, strict=True)
    )
    assert done.err.startswith("one: precopy\n")
    assert ("error: " in done.err) == bool(code)
    if STAYS in entries:
        assert "stays two on a: host 'b' lacks module 'm'" in done.out
    assert supervisor.commands == [
        MigrateMany(["one", "two", "three"], "b"), MigrateMany(["one", "two"], "b", 2.0)
    ]


def test_all_and_back_are_asked_for_as_such(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": []}]) as supervisor:
        done = sojourn("migrate", "--all", "--to", "b", "--home", tmp_path)
        sojourn("migrate", "one", "two", "--back", "--home", tmp_path)
    assert (done.code, done.out) == (0, "")
    assert "owns no unfinished" in done.err
    with RecordedSupervisor(tmp_path, lambda _: [{"job_id": "one", **handoff()}]) as alone:
        assert sojourn("migrate", "one", "--back", "--home", tmp_path).code == 0
    assert supervisor.commands == [MigrateMany(None, "b"), MigrateMany(["one", "two"], None)]
    assert alone.commands == [Migrate("one", None)]


@pytest.mark.parametrize(("entries", "code"), [([MOVED, ENDED], 0), ([MOVED, STAYS], 7), ([DOUBT], 8)])
def test_drain_is_a_table_or_a_document(
    sojourn: Sojourn, tmp_path: Path, entries: list[Json], code: int
) -> None:
    body = {"host": "a", "jobs": entries}
    with RecordedSupervisor(tmp_path, lambda _: [body]) as supervisor:
        done = sojourn("drain", "--home", tmp_path)
        for_machines = sojourn(
            "drain", "--to", "b", "--deadline", 60, "--grace", 1, "--home", tmp_path, "-o", "json"
        )
    assert (done.code, for_machines.code) == (code, code)
    assert json.loads(for_machines.out) == body
    head, *rows = done.out.splitlines()
    assert head.split() == ["JOB", "OUTCOME", "NOW", "ON", "NOTE"]
    assert [row.split()[0] for row in rows] == [entry["job_id"] for entry in entries]
    if code == 8:
        assert "(released to b)" in done.out
    assert supervisor.commands == [Drain(), Drain("b", 60.0, 1.0)]


def test_a_drain_that_found_nothing_says_so(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"host": "a", "jobs": []}]):
        done = sojourn("drain", "--home", tmp_path)
    assert (done.code, done.out) == (0, "")
    assert "host 'a' is cordoned and had no unfinished job" in done.err


NEWS = {
    "host": "a", "moved": 3, "under_way": ["four", "five"], "in_doubt": ["six"], "waiting": 7,
    "stays": ["eight"],
}


@pytest.mark.parametrize(
    ("arguments", "news", "told"),
    [
        (
            ["drain"], NEWS,
            ["the drain of host 'a' goes on", "3 moved", "7 to go", "under way: four, five", "(six)",
             "1 can't move", "`sojourn drain` follows it again", "`sojourn uncordon` ends it"],
        ),
        (
            ["migrate", "one", "two", "--to", "b"],
            {"job_id": "one", "phase": "precopy", "bytes": 0, "total_bytes": 0},
            ["the moves go on (begun: one)", "`sojourn jobs`"],
        ),
    ],
    ids=["drain", "migrate"],
)
def test_ctrl_c_says_what_goes_on_where(
    tmp_path: Path, arguments: list[str], news: Json, told: list[str]
) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [News(news)]):
        process = subprocess.Popen(
            [sys.executable, "-m", "sojourn.hosts.cli", *arguments, "--home", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        assert process.stderr is not None
        first = process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert first.startswith(("drain: 3 moved, 2 under way, 7 to go", "one: precopy"))
    assert all(part in err for part in told), err


def test_cordon_and_uncordon(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"host": "a", "cordoned": True}]) as supervisor:
        assert sojourn("cordon", "--home", tmp_path).out == "a cordoned\n"
        assert sojourn("uncordon", "--home", tmp_path, "--host", "b").out == "a uncordoned\n"
        shown = json.loads(sojourn("cordon", "--home", tmp_path, "-o", "json").out)
    assert shown == {"host": "a", "cordoned": True}
    assert supervisor.commands == [Cordon(on=True), Cordon(on=False), Cordon(on=True)]
    assert supervisor.requests[1].host == "b"


def test_jobs_say_that_their_host_is_cordoned(sojourn: Sojourn, tmp_path: Path) -> None:
    body: Json = {"jobs": [], "host": "a", "cordoned": True}
    with RecordedSupervisor(tmp_path, lambda _: [body]):
        assert "host a is cordoned" in sojourn("jobs", "--home", tmp_path).out
        assert sojourn("jobs", "--home", tmp_path, "-o", "json").out == "[]\n"
