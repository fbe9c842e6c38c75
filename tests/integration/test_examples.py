"""The examples, run as their docstrings say, on hosts that exchange jobs and lose processes."""

from __future__ import annotations

import importlib.util
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from tests.integration.hosting import EXAMPLES, Host, attempts
from tests.integration.moving import warm_up
from tests.waiting import wait_until

FILES = 300
"""Of the corpus: a second or two of work for two processes."""


# Any: an example's names are its own.
def load_example(name: str) -> Any:
    """Import an example as a host does: from its file, under its plain name."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kill_actor(host: Host, routine: str) -> None:
    """Kill one process of a routine with -9, and see it dead."""
    victim = wait_until(lambda: actors(host, routine), 10.0, f"a process of {routine}")[0]
    victim.kill()
    wait_until(lambda: victim not in actors(host, routine), 10.0, f"{routine} {victim.pid} to be dead")


def actors(host: Host, routine: str) -> list[psutil.Process]:
    """Give the living processes of a routine."""
    found: list[psutil.Process] = []
    for process in host.processes():
        try:
            if process.cmdline()[:1] == [f"sojourn-actor {routine}"]:
                found.append(process)
        except psutil.Error:
            continue  # it ended between the listing and the question
    return found


def test_the_corpus_is_counted_exactly_though_it_moves_and_processes_die(
    example_pair: tuple[Host, Host], tmp_path: Path
) -> None:
    a, b = example_pair
    database = tmp_path / "corpus.db"
    warm_up(b, "corpus:flow", database=str(tmp_path / "other.db"), limit=1)
    a.submit("corpus:flow", "corpus", database=str(database), limit=FILES)
    a.wait("corpus", "tokenize.succeeded >= 20")
    kill_actor(a, "corpus/tokenize")
    a.wait("corpus", "tokenize.succeeded >= 60")
    a.migrate("corpus", b)
    b.wait("corpus", "tokenize.succeeded >= 120")
    kill_actor(b, "corpus/tokenize")
    b.wait("corpus", "tokenize.succeeded >= 160")
    b.kill()
    b.up()
    final = b.wait("corpus")

    assert final["status"] == "completed", final["error"]
    assert final["result"]["files"] == FILES
    with closing(sqlite3.connect(database)) as opened:
        totals = dict(opened.execute("SELECT kind, tokens FROM totals"))
    assert totals == load_example("corpus").reference(FILES)
    done = attempts(final, "tokenize")
    succeeded = [message for message, _, outcome, _ in done if outcome == "succeeded"]
    assert len(succeeded) == len(set(succeeded)) == FILES
    assert {host for _, _, outcome, host in done if outcome == "succeeded"} == {"a", "b"}
    unlucky = [
        entry for entry in final["history"]
        if entry["routine"] == "tokenize" and entry["error"] and entry["error"]["type"] == "OSError"
    ]
    # Each of the two kills can have hit a file's unlucky first attempt.
    assert math.ceil(FILES / 7) - 2 <= len(unlucky) <= math.ceil(FILES / 7)
    assert {entry["attempt"] for entry in unlucky} == {1}


def test_the_agent_moves_while_it_waits_for_approval(example_pair: tuple[Host, Host]) -> None:
    a, b = example_pair
    a.do("submit", "agent:flow", "--job-id", "agent", "--input", '{"question": "How do tides work?"}')
    a.do("wait", "agent", "--until", "status == 'paused'")
    a.do("migrate", "agent", "--to", "b")

    waiting = b.show("agent")
    assert (waiting["status"], waiting["host"], waiting["epoch"]) == ("paused", "b", 2)
    (question,) = waiting["waiting"]
    assert question["prompt"].startswith("Publish this draft?")
    assert "How do tides work?" in question["prompt"]
    b.do("resume", "agent", "--input", '{"approved": true}')
    b.do("wait", "agent")

    final = json.loads(b.do("show", "agent", "-o", "json"))
    assert final["status"] == "completed"
    assert final["result"]["published"] is True
    assert question["prompt"].endswith(final["result"]["text"])
    assert final["waiting"] == []
    research = attempts(final, "research")
    assert len([entry for entry in research if entry[2] == "succeeded"]) == 4
    assert [(attempt, host) for _, attempt, outcome, host in research if outcome == "failed"] == [(1, "a")]
    assert {host for *_, host in research} == {"a"}, "what was answered was answered again after the move"
    decided = [entry for entry in final["history"] if entry["slot"] == "decided"]
    assert [(entry["outcome"], entry["host"]) for entry in decided] == [("succeeded", "b")]


def test_an_agent_that_is_not_approved_publishes_nothing(example_pair: tuple[Host, Host]) -> None:
    a, b = example_pair
    a.submit("agent:flow", "agent", question="Why?")
    a.wait("agent", "waiting == 1")
    a.migrate("agent", b)
    # Given where it was asked: the host that it left passes the answer on.
    a.do("resume", "agent", "--input", '{"approved": false}')
    final = b.wait("agent")
    assert final["status"] == "completed"
    assert (final["result"]["published"], final["result"]["text"]) == (False, "")


def test_the_seeds_flow_fails_with_its_retries_spent_on_the_other_host(
    example_pair: tuple[Host, Host]
) -> None:
    a, b = example_pair
    b.submit("seed:flow", "imports-the-code-there")
    a.submit("seed:flow", "seed")
    a.wait("seed", "failing.retry_count >= 2")
    a.migrate("seed", b)
    assert b.run("wait", "seed").returncode == 1
    final = b.show("seed")
    assert final["status"] == "failed"
    assert final["error"]["message"] == "Simulated failure on attempt 5"
    assert final["routines"]["failing"]["retry_count"] == 4
    assert [(attempt, host) for _, attempt, _, host in attempts(final, "failing")] == [
        (1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b"),
    ]
    assert attempts(final, "success") == []
