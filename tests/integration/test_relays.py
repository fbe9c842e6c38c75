"""Commands that one host does for another, over restarts, broken links and limits."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, connected, pair_hosts, read_effects
from tests.waiting import wait_until

MEGABYTE = 1_000_000


def relayed(host: Host, command: str) -> int:
    """Count the commands of a kind that peers relayed to a host."""
    return sum(
        entry["event"] == "relayed command" and entry["command"] == command for entry in host.log()
    )


def test_a_late_answer_is_not_taken_for_that_of_a_command_after_a_restart(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    for job in ("one", "two"):
        b.submit("points:asking", job)
        b.wait(job, "status == 'paused'")
    first = a.start("wait", "one", "--host", "b")
    wait_until(lambda: relayed(b, "Wait") == 1, what="the first wait to be relayed")
    first.kill()
    first.communicate()
    a.kill()
    a.up()
    wait_until(lambda: connected(a), what="the hosts to be connected")
    second = a.start("wait", "two", "--host", "b", "-o", "json")
    wait_until(lambda: relayed(b, "Wait") == 2, what="the second wait to be relayed")
    for job in ("one", "two"):
        b.do("resume", job, "--input", '{"approved": true}')
        b.wait(job)
    said, complaint = second.communicate(timeout=30)
    assert second.returncode == 0, complaint
    assert json.loads(said)["job_id"] == "two"


def test_who_asks_again_after_a_restart_gets_the_answer_of_what_is_under_way(
    pair: tuple[Host, Host], make_host: MakeHost, effects: Path
) -> None:
    (a, b), c = pair, make_host("c").up()
    pair_hosts(b, c)
    b.submit("crashing:sleeper", "job", seconds=10.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    mover = a.start("migrate", "job", "--to", "c", "--grace", "30", "--host", "b")
    wait_until(lambda: b.show("job")["status"] == "moving", what="the job to freeze")
    os.kill(mover.pid, signal.SIGSTOP)  # else it would see that no supervisor runs, and give up
    a.kill()
    a.up()
    os.kill(mover.pid, signal.SIGCONT)
    _, complaint = mover.communicate(timeout=40)
    assert mover.returncode == 0, complaint
    assert [moved["to"] for moved in c.wait("job")["handoffs"]] == ["c"]


def test_what_is_too_large_to_travel_between_hosts_is_said_to_be(
    pair: tuple[Host, Host], tmp_path: Path
) -> None:
    a, b = pair
    b.submit("large:large", "job", size=20 * MEGABYTE)
    b.wait("job", "status == 'paused'")
    file = tmp_path / "job.json"
    answered = a.run("export", "job", str(file), "--host", "b", timeout=30)
    assert (answered.returncode, "ask host 'b' itself" in answered.stderr) == (6, True)
    b.do("export", "job", str(file))
    asked = a.run("import", str(file), "--host", "b", timeout=30)
    assert (asked.returncode, "ask host 'b' itself" in asked.stderr) == (2, True)
    copy = a.do("import", str(file))
    a.do("resume", copy, "--input", f'{{"size": {20 * MEGABYTE}}}')
    assert a.wait(copy)["result"] == {"same": True}
