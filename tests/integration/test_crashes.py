"""Supervisors and actor processes that die; orphans; SIGTERM (points 7, 8, 9 and 16)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil

from tests.integration.conftest import MakeHost
from tests.integration.hosting import (
    Host,
    attempts,
    check_effects,
    pair_hosts,
    read_effects,
    seconds_of,
)
from tests.integration.moving import hold_a_turn
from tests.waiting import wait_until


def test_killed_between_attempts_the_next_attempt_comes_when_due(host: Host, effects: Path) -> None:
    host.submit("failing:long_backoff", "job")
    state = host.wait("job", "failing.retry_count >= 1")
    due = seconds_of(state["history"][-1]["ended_at"]) + 6.0
    host.kill()
    host.up()
    final = host.wait("job", "failing.retry_count >= 2")
    assert attempts(final, "failing") == [(2, 1, "failed", "a"), (2, 2, "failed", "a")]
    assert abs(seconds_of(final["history"][-1]["started_at"]) - due) < 1.0
    assert [e.attempt for e in read_effects(effects) if e.what == "failing"] == [1, 2]


def test_killed_between_attempts_two_and_three_the_next_attempt_is_three(
    host: Host, effects: Path
) -> None:
    host.submit("failing:unhurried", "job")
    host.wait("job", "failing.retry_count >= 2")
    host.kill()
    host.up()
    final = host.wait("job")
    assert (final["status"], final["routines"]["failing"]["retry_count"]) == ("failed", 4)
    assert [(o[1], o[2]) for o in attempts(final, "failing")] == [
        (number, "failed") for number in (1, 2, 3, 4, 5)
    ]
    assert [e.attempt for e in read_effects(effects) if e.what == "failing"] == [1, 2, 3, 4, 5]


def test_killed_during_a_turn_the_same_number_runs_again(host: Host, effects: Path) -> None:
    host.submit("crashing:sleeper", "job", seconds=1.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    host.kill()
    host.up()
    final = host.wait("job")
    assert attempts(final, "sleeper") == [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "a")]
    assert final["result"] == {"attempt": 1}
    check_effects(read_effects(effects), final)


def test_killed_among_many_quick_turns_every_repetition_is_recorded(
    host: Host, effects: Path
) -> None:
    host.submit("queues:slow", "job", n=400)
    host.wait("job", "work.succeeded >= 50")
    host.kill()
    host.up()
    final = host.wait("job")
    assert final["result"]["got"] == list(range(400))
    check_effects(read_effects(effects), host.show("job", history=5000))


def test_an_actor_process_that_dies_is_one_failed_attempt_of_the_right_message(
    host: Host, effects: Path
) -> None:
    host.submit("crashing:dying", "other", n=200)
    host.submit("crashing:dying", "job", n=100, dies_at=37)
    final = host.wait("job")
    other = host.wait("other")
    failed = [e for e in final["history"] if e["outcome"] == "failed"]
    assert [(e["message"], e["attempt"], e["error"]["type"]) for e in failed] == [
        (39, 1, "ActorCrashed")
    ]
    assert "SIGSEGV" in failed[0]["error"]["message"]
    assert final["routines"]["dying"] == {
        "retry_count": final["routines"]["dying"]["retry_count"], "succeeded": 100, "failed": 0,
        "skipped": 0, "state": {"done": 100},
    }
    assert other["status"] == "completed"
    assert not [e for e in other["history"] if e["outcome"] == "failed"]
    check_effects(read_effects(effects), final, other)


def test_killed_with_a_hundred_more_sent_ahead_exactly_one_attempt_fails(
    host: Host, effects: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    host.submit("crashing:waiting", "other", n=4000)
    host.submit("crashing:waiting", "job", n=8000, hold=str(hold))
    begun = hold_a_turn(host, hold, effects, job=100)
    psutil.Process(begun.pid).kill()
    hold.unlink()
    final, other = host.wait("job"), host.wait("other")
    message = int(begun.turn.partition(":")[2])
    failed = [e for e in final["history"] if e["outcome"] == "failed"]
    assert [(e["message"], e["attempt"], e["error"]["type"]) for e in failed] == [
        (message, 1, "ActorCrashed")
    ]
    assert "SIGKILL" in failed[0]["error"]["message"]
    for document, n in ((final, 8000), (other, 4000)):
        assert (document["status"], document["routines"]["waiting"]["state"]) == ("completed", {"done": n})
        succeeded = [e for e in document["history"] if e["outcome"] == "succeeded"]
        assert len({e["message"] for e in succeeded}) == len(succeeded) == n + 1
    assert [e["message"] for e in final["history"] if e["attempt"] > 1] == [message]
    assert {e["attempt"] for e in other["history"]} == {1}
    assert not [e for e in other["history"] if e["outcome"] == "failed"]


def test_a_turn_over_its_timeout(host: Host) -> None:
    host.submit("crashing:hanging", "job", hangs=2)
    final = host.wait("job")
    assert [(e["attempt"], e["outcome"], (e["error"] or {}).get("type")) for e in final["history"]] == [
        (1, "failed", "TurnTimeout"), (2, "failed", "TurnTimeout"), (3, "succeeded", None),
    ]
    assert final["result"] == {"attempt": 3}


def test_a_flow_whose_module_fails_to_import_is_refused_with_its_error(
    make_host: MakeHost, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    good = (
        "from sojourn import Flow, Routine\n"
        "class Step(Routine):\n"
        "    def process(self):\n"
        "        self.set_result(ok=True)\n"
        "flow = Flow('mended')\n"
        "flow.add_routine(Step(), 'step')\n"
    )
    (code / "breaking.py").write_text(good)
    host = make_host("a", paths=[code]).up()
    with host.client() as client:
        client.submit("breaking:flow", job_id="first")
        assert client.wait("first", timeout=30).status == "completed"
    host.terminate()
    (code / "breaking.py").write_text("import nothing_of_that_name\n" + good)
    host.up()
    done = host.run("submit", "breaking:flow")
    assert done.returncode == 6
    assert "nothing_of_that_name" in done.stderr


def test_a_job_whose_code_broke_is_blocked_and_goes_on_after_retry(
    make_host: MakeHost, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    good = (
        "import time\n"
        "from pathlib import Path\n"
        "from sojourn import Flow, Routine\n"
        "class First(Routine):\n"
        "    def process(self):\n"
        "        while not Path(__file__).with_name('gate').exists():\n"
        "            time.sleep(0.01)\n"
        "        self.emit('output')\n"
        "class Second(Routine):\n"
        "    def process(self):\n"
        "        self.set_result(ok=True)\n"
        "flow = Flow('mended')\n"
        "flow.add_routine(First(), 'first')\n"
        "flow.add_routine(Second(), 'second')\n"
        "flow.connect('first', 'output', 'second', 'input')\n"
    )
    (code / "breaking.py").write_text(good)
    host = make_host("a", paths=[code]).up()
    with host.client() as client:
        client.submit("breaking:flow", job_id="job")
    wait_until(lambda: host.show("job")["status"] == "running", 30.0, "the turn to begin")
    host.kill()
    (code / "breaking.py").write_text("raise RuntimeError('half-written')\n" + good)
    host.up()
    blocked = host.wait("job", "status == 'blocked'")
    assert "half-written" in blocked["reason"]
    (code / "breaking.py").write_text(good)
    (code / "gate").touch()
    host.do("retry", "job")
    assert host.wait("job")["result"] == {"ok": True}


def test_a_process_that_dies_at_its_start_blocks_the_job_until_mended(
    make_host: MakeHost, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    broken = code / "broken"
    broken.touch()
    (code / "stillborn.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from sojourn import Flow, Routine\n"
        "def after_fork():\n"
        "    if Path(__file__).with_name('broken').exists():\n"
        "        os._exit(3)\n"
        "os.register_at_fork(after_in_child=after_fork)\n"
        "class Step(Routine):\n"
        "    def process(self):\n"
        "        self.set_result(ok=True)\n"
        "flow = Flow('stillborn')\n"
        "flow.add_routine(Step(), 'step')\n"
    )
    host = make_host("a", paths=[code]).up()
    for job in ("first", "second"):
        with host.client() as client:
            client.submit("stillborn:flow", job_id=job)
        blocked = host.wait(job, "status == 'blocked'")
        assert "exited with status 3 at its start" in blocked["reason"]
        assert "'step'" in blocked["reason"]
    broken.unlink()
    for job in ("first", "second"):
        host.do("retry", job)
    for job in ("first", "second"):
        final = host.wait(job)
        assert (final["result"], [e["attempt"] for e in final["history"]]) == ({"ok": True}, [1])


def test_a_process_over_its_memory_limit_fails_its_attempt_alone(make_host: MakeHost) -> None:
    host = make_host("a").up("--memory-limit", "600M")
    host.submit("crashing:hungry", "small", size=1_000)
    host.submit("crashing:hungry", "large", size=2_000_000_000)
    large = host.wait("large")
    assert (large["status"], large["error"]["type"]) == ("failed", "MemoryError")
    assert host.wait("small")["result"] == {"size": 1_000}


def test_systemd_is_told_when_it_is_ready(make_host: MakeHost, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        make_host("a").up(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(100) == b"READY=1"


def test_a_supervisor_whose_notify_socket_is_gone_runs_all_the_same(make_host: MakeHost) -> None:
    host = make_host("a").up(NOTIFY_SOCKET="/nonexistent/notify")
    assert json.loads(host.do("jobs", "-o", "json")) == []
    assert any(entry["event"] == "the service manager can't be told" for entry in host.log())


def test_strict_code_blocks_jobs_whose_code_changed(make_host: MakeHost, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    text = (
        "from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine\n"
        "class Step(Routine):\n"
        "    def process(self):\n"
        "        if self.attempt == 1:\n"
        "            raise ValueError('first')\n"
        "        self.set_result(ok=True)\n"
        "flow = Flow('strict')\n"
        "flow.add_routine(Step(), 'step', error_handler=ErrorHandler(\n"
        "    strategy=ErrorStrategy.RETRY, retry_delay=2.0))\n"
    )
    (code / "changing.py").write_text(text)
    host = make_host("a", paths=[code]).up("--strict-code")
    with host.client() as client:
        client.submit("changing:flow", job_id="job")
        client.wait("job", until="step.retry_count >= 1", timeout=30)
    host.kill()
    (code / "changing.py").write_text(text + "# changed\n")
    host.up("--strict-code")
    blocked = host.wait("job", "status == 'blocked'")
    assert "--strict-code" in blocked["reason"]
    host.do("retry", "job")
    final = host.wait("job")
    assert final["result"] == {"ok": True}
    assert len({entry["code"] for entry in final["history"]}) == 2


def test_strict_code_lets_a_flow_run_whose_routines_are_in_another_module(host: Host) -> None:
    host.terminate()
    host.up("--strict-code")
    document = host.wait(host.submit("edges:status", "job"), "status != 'queued'", timeout=20)
    assert document["reason"] is None
    assert host.wait("job", timeout=20)["status"] == "completed"


def test_no_orphans_after_the_supervisor_is_killed(host: Host, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    host.submit("crashing:parent", "job", pids=str(pids))
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="the child")
    below = {process.pid for process in host.processes()}
    below |= {int(pid) for pid in pids.read_text().split()}
    assert len(below) >= 4, "zygote, guard, actor and its child"
    host.kill()
    wait_until(
        lambda: not [pid for pid in below if alive(pid)], 1.0, "every process below it to be gone"
    )


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_second_supervisor_on_a_home_is_refused_with_the_firsts_pid(host: Host) -> None:
    done = host.run("up", "--name", "again")
    assert done.returncode == 4
    assert str(host.pid) in done.stderr
    assert host.run("jobs").returncode == 0


def test_sigterm_lets_turns_end_and_work_goes_on_after_a_start(
    host: Host, effects: Path
) -> None:
    host.submit("crashing:sleeper", "job", seconds=1.0)
    host.submit("queues:slow", "queue", n=300)
    wait_until(lambda: [e for e in read_effects(effects) if e.what == "sleeper"], what="the turn")
    host.wait("queue", "work.succeeded >= 10")
    assert host.terminate() == 0
    host.up()
    final = host.wait("job")
    assert attempts(final, "sleeper") == [(1, 1, "succeeded", "a")]
    queue = host.wait("queue")
    assert queue["result"]["got"] == list(range(300))
    check_effects(read_effects(effects), final, host.show("queue", history=5000))


def test_sigterm_interrupts_a_turn_that_outlasts_its_grace(make_host: MakeHost, effects: Path) -> None:
    host = make_host("a").up("--grace", "0.3")
    host.submit("crashing:sleeper", "job", seconds=2.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    assert host.terminate() == 0
    host.up()
    final = host.wait("job")
    assert attempts(final, "sleeper") == [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "a")]


def test_killed_after_a_process_died_and_before_that_is_on_disk(
    make_host: MakeHost, effects: Path, tmp_path: Path
) -> None:
    """The process's page is what still tells that its turn had begun: it must outlive the commit."""
    a, b = make_host("a").up(SOJOURN_CRASH_POINT="source.before-write-frozen"), make_host("b").up()
    pair_hosts(a, b)
    flag = tmp_path / "end-the-turn"
    a.submit("load:held", "job", flag=str(flag))
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    a.run("migrate", "job", "--to", "b", "--grace", "0")
    a.died()
    flag.touch()
    a.up()
    final = a.wait("job")
    assert attempts(final, "held") == [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "a")]
    check_effects(read_effects(effects), final)
