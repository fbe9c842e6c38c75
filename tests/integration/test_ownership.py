"""One owner, never lost: hand-offs through files and links that overtake each other."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, pair_hosts, read_effects
from tests.waiting import wait_until


def test_a_job_that_came_back_by_file_is_not_lost_to_a_late_ack(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-send-ack")
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    a.kill()
    mover.communicate(timeout=30)
    b.up()
    file = tmp_path / "job.json"
    refused = b.run("export", "job", str(file), "--release", "--to", "a")
    assert (refused.returncode, "handoff resolve" in refused.stderr) == (4, True)
    b.do("handoff", "resolve", "job", "--force", "accept")
    b.do("export", "job", str(file), "--release", "--to", "a")
    b.kill()
    a.up()
    a.do("import", str(file))
    assert a.show("job")["epoch"] == 4
    b.up()
    wait_until(lambda: b.show("job")["status"] == "moved", what="the way back to be acknowledged")
    assert a.show("job")["status"] == "paused"
    a.kill()
    a.up()
    assert a.show("job")["status"] == "paused"
    a.do("resume", "job", "--input", '{"approved": true}')
    assert a.wait("job")["status"] == "completed"


def test_who_waits_for_a_job_that_goes_there_and_back_is_answered(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    waiter = a.start("wait", "job")
    reader = a.start("logs", "job", "-f")
    a.migrate("job", b)
    b.migrate("job", a)
    a.do("resume", "job", "--input", '{"approved": true}')
    _, complaint = waiter.communicate(timeout=30)
    assert waiter.returncode == 0, complaint
    _, complaint = reader.communicate(timeout=30)
    assert reader.returncode == 0, complaint


def test_a_file_is_refused_while_its_job_arrives_over_a_link(
    pair: tuple[Host, Host], make_host: MakeHost, tmp_path: Path, effects: Path
) -> None:
    a, b = pair
    c = make_host("c").up()
    pair_hosts(b, c)
    c.submit("points:asking", "job")
    c.wait("job", "status == 'paused'")
    file = tmp_path / "job.json"
    c.do("export", "job", str(file), "--release", "--to", "b")
    a.submit("crashing:sleeper", "job", seconds=60.0)
    wait_until(lambda: [e for e in read_effects(effects) if e.what == "sleeper"], what="the turn")
    mover = a.start("migrate", "job", "--to", "b", "--grace", "60")
    wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
    refused = b.run("import", str(file))
    assert (refused.returncode, "is being handed over" in refused.stderr) == (4, True)
    a.do("cancel", "job")
    mover.communicate(timeout=30)
    assert b.do("import", str(file)) == "job"
    assert b.show("job")["epoch"] == 2


def test_jobs_that_cross_each_other_both_arrive(pair: tuple[Host, Host]) -> None:
    a, b = pair
    for host in (a, b):
        host.submit("points:asking", f"from-{host.name}")
        host.wait(f"from-{host.name}", "status == 'paused'")
    movers = [a.start("migrate", "from-a", "--to", "b"), b.start("migrate", "from-b", "--to", "a")]
    for mover in movers:
        _, complaint = mover.communicate(timeout=60)
        assert mover.returncode == 0, complaint
    assert (b.show("from-a")["epoch"], a.show("from-b")["epoch"]) == (2, 2)
    assert (a.show("from-a")["status"], b.show("from-b")["status"]) == ("moved", "moved")


def test_a_job_that_goes_to_and_fro_many_times_has_one_owner_and_one_history(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    waiter = a.start("wait", "job", "-o", "json")
    with a.client() as at_a, b.client() as at_b:
        for _ in range(6):
            at_a.migrate("job", "b")
            at_b.migrate("job", "a")
    assert b.show("job")["status"] == "moved"
    a.do("resume", "job", "--input", '{"approved": true}')
    said, complaint = waiter.communicate(timeout=60)
    assert waiter.returncode == 0, complaint
    final = json.loads(said)
    assert (final["status"], final["epoch"], final["host"]) == ("completed", 13, "a")
    assert [figures["epoch"] for figures in final["handoffs"]] == list(range(2, 14))
    assert len(read_effects(effects)) == len(final["history"]) == 2
