"""What a paired host may do here, by its role: commands, hand-offs, ways around, a role that changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sojourn.runtime.errors import from_wire
from sojourn.runtime.wire import client as wire
from sojourn.runtime.wire.claims import Claim, Claims
from sojourn.runtime.wire.peer import Known, RelayRequest, RelayReturned
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, connected
from tests.integration.posing import posing
from tests.waiting import wait_until

LOOKS = (("jobs",), ("show", "job"), ("logs", "job"), ("peers",), ("handoff", "list"),
         ("wait", "job", "--until", "epoch >= 1"))


def paired(one: Host, other: Host, *, there: str = "operator", here: str = "operator") -> None:
    """Pair two hosts: ``other`` is ``there`` at ``one``, and ``one`` is ``here`` at ``other``."""
    other.do("join", one.do("invite", "--role", there), "--role", here)
    wait_until(lambda: connected(one) and connected(other), what="both hosts to be connected")


def peers_of(host: Host) -> dict[str, dict[str, Any]]:
    return {peer["name"]: peer for peer in json.loads(host.do("peers", "-o", "json"))}


def denied(host: Host, *arguments: str, needs: str, at: str, peer: str) -> None:
    """See that a command is refused for its role, in one sentence with the command that grants it."""
    done = host.run(*arguments)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"takes the role {needs}" in done.stderr
    assert f"`sojourn peers role {peer} {needs}` on host {at!r} grants it" in done.stderr


def job_on(host: Host, job: str = "job") -> None:
    host.submit("points:asking", job)
    host.wait(job, "status == 'paused'")


@pytest.fixture
def two(make_host: MakeHost) -> tuple[Host, Host]:
    a, b = make_host("a"), make_host("b")
    for host in (a, b):
        host.launch()
    return a.ready(), b.ready()


def test_a_viewer_looks_and_acts_on_nothing(two: tuple[Host, Host], tmp_path: Path) -> None:
    a, b = two
    paired(a, b, there="viewer")
    job_on(a)
    before = a.show("job")
    for look in LOOKS:
        b.do(*look, "--host", "a")
    file = tmp_path / "file"
    for act in (("pause", "job"), ("cancel", "job"), ("retry", "job"), ("forget", "job"),
                ("resume", "job", "--input", '{"approved": true}'), ("migrate", "job", "--to", "b"),
                ("export", "job", str(file))):
        denied(b, *act, "--host", "a", needs="peer", at="a", peer="b")
    a.do("export", "job", str(file))
    resolve = ("handoff", "resolve", "job", "--force", "reclaim")
    for on_host in (("import", str(file)), ("down",), resolve):
        denied(b, *on_host, "--host", "a", needs="operator", at="a", peer="b")
    denied(b, "submit", "points:asking", "--host", "a", needs="peer", at="a", peer="b")
    assert a.show("job") == before
    assert len(json.loads(a.do("jobs", "-o", "json"))) == 1
    assert peers_of(a)["b"]["refused"] == 11
    assert [e for e in a.log() if e["event"] == "refused" and e["kind"] == "relayed command"]


def test_a_viewer_neither_gives_nor_takes_jobs(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b, there="viewer")
    job_on(b)
    job_on(a, "mine")
    given = b.run("migrate", "job", "--to", "a")
    assert given.returncode == 4, given.stderr
    assert "job job stays on host 'b' and goes on there" in given.stderr
    assert "`sojourn peers role b peer` on host 'a' grants it" in given.stderr
    assert b.show("job")["status"] == "paused"
    for take in (("migrate", "mine", "--to", "b"), ("export", "mine", "x", "--release", "--to", "b")):
        denied(a, *take, needs="peer", at="a", peer="b")
    assert a.show("mine")["status"] == "paused"
    assert json.loads(a.do("jobs", "-o", "json"))[0]["job_id"] == "mine"
    a.do("peers", "role", "b", "peer")
    assert b.migrate("job", a).epoch == 2


def test_a_peer_hands_jobs_over_and_acts_on_those_that_it_has_had(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b, there="peer")
    job_on(a, "theirs")
    job_on(b)
    b.migrate("job", a)
    for act in (("pause", "theirs"), ("migrate", "theirs", "--to", "b"), ("submit", "points:asking")):
        denied(b, *act, "--host", "a", needs="operator", at="a", peer="b")
    b.do("pause", "job")  # asked at its old host, as ever
    b.do("resume", "job")
    b.do("resume", "job", "--input", '{"approved": true}')
    assert b.wait("job")["status"] == "completed"
    assert a.show("theirs")["status"] == "paused"


def test_who_moved_on_can_still_be_acted_on_along_its_way_and_by_nobody_else(make_host: MakeHost) -> None:
    a, b, c, viewer = (make_host(name).up() for name in ("a", "b", "c", "v"))
    paired(a, b, there="peer", here="peer")
    paired(b, c, there="peer", here="peer")
    paired(a, viewer, there="viewer")
    job_on(a)
    a.migrate("job", b)
    b.migrate("job", c)
    denied(viewer, "pause", "job", "--host", "a", needs="peer", at="a", peer="v")
    assert viewer.do("wait", "job", "--until", "epoch >= 3", "--host", "a")
    assert c.show("job")["status"] == "paused"
    a.do("resume", "job", "--input", '{"approved": true}')
    assert c.wait("job")["status"] == "completed"


def test_the_default_is_operator_and_pairing_again_raises_no_role(two: tuple[Host, Host]) -> None:
    a, b = two
    b.do("join", a.do("invite"))
    wait_until(lambda: connected(a) and connected(b), what="both hosts to be connected")
    shown = peers_of(a)["b"]
    assert (shown["role"], shown["granted"], shown["role_there"]) == ("operator", "invite", "operator")
    assert peers_of(b)["a"]["granted"] == "join"
    a.do("peers", "role", "b", "viewer")
    b.do("peers", "role", "a", "peer")
    wait_until(lambda: peers_of(b)["a"]["role_there"] == "viewer", what="b to hear of its role")
    b.do("join", a.do("invite"))
    for host, other, role in ((a, "b", "viewer"), (b, "a", "peer")):
        assert peers_of(host)[other]["role"] == role
    b.do("join", a.do("invite", "--role", "peer"), "--role", "viewer")
    assert (peers_of(a)["b"]["role"], peers_of(b)["a"]["role"]) == ("peer", "viewer")


def test_roles_outlast_restarts(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b, there="viewer", here="peer")
    for host in (a, b):
        host.kill()
        host.up()
    wait_until(lambda: connected(a) and connected(b), what="both hosts to be connected")
    assert (peers_of(a)["b"]["role"], peers_of(b)["a"]["role"]) == ("viewer", "peer")
    job_on(a)
    denied(b, "pause", "job", "--host", "a", needs="peer", at="a", peer="b")


def test_who_is_paired_is_changed_on_the_host_itself_only(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b)
    token = b.do("invite")
    for act in (("invite",), ("join", token), ("peers", "role", "b", "operator"), ("peers", "revoke", "b")):
        done = b.run(*act, "--host", "a")
        assert done.returncode == 4, done.stderr
        assert "no role allows" in done.stderr
        assert "run it on host 'a'" in done.stderr
    assert peers_of(a)["b"]["state"] == "connected"


def test_a_file_is_released_by_its_own_host_alone(two: tuple[Host, Host], tmp_path: Path) -> None:
    a, b = two
    paired(a, b)
    job_on(a)
    file = tmp_path / "there.json"
    done = b.run("export", "job", str(file), "--release", "--to", "b", "--host", "a")
    assert done.returncode == 4, done.stderr
    assert "run it on host 'a'" in done.stderr
    assert not file.exists()
    assert a.show("job")["status"] == "paused"
    b.do("export", "job", str(file), "--host", "a")  # its bytes come here
    assert json.loads(file.read_text())["job"]["job_id"] == "job"


def test_a_command_through_a_host_names_no_third_one(make_host: MakeHost) -> None:
    a, b, c = (make_host(name).up() for name in "abc")
    paired(a, b)
    paired(a, c)
    job_on(c)
    b.kill()
    with posing(b, a) as pose:
        request = wire.Request(7, "around", "c", wire.Cancel("job"))
        answer = pose.ask(request)
        assert isinstance(answer, wire.Failure)
        error = from_wire(answer.kind, answer.message)
        assert error.exit_code == 4
        assert "to host 'c'" in error.message
    assert c.show("job")["status"] == "paused"


def test_a_viewer_can_neither_take_a_job_by_its_word_nor_stop_the_host(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b, there="viewer")
    job_on(a)
    shown = a.show("job")
    status = a.ask(wire.Status())
    b.kill()
    with posing(b, a, knows_you=Known(status["store_id"], 10**6, "later")) as pose:
        pose.send(Claims(0, [Claim("job", shown["instance"], 99, "owned")]))
        answer = pose.ask(wire.Request(1, "look", None, wire.Show("job")))
        assert isinstance(answer, wire.Reply)
        assert json.loads(answer.body)["status"] == "paused"
    assert a.show("job") == shown


def test_a_role_that_is_taken_ends_what_waits_for_a_hand_off(make_host: MakeHost) -> None:
    a, b, c = (make_host(name).up() for name in "abc")
    paired(a, b)
    paired(a, c)
    a.submit("crashing:sleeper", "job", seconds=8.0)
    mover = a.start("migrate", "job", "--to", "c", "--grace", "30")
    wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
    waiting = b.start("pause", "job", "--host", "a")
    wait_until(lambda: any(e["event"] == "command held" for e in a.log()), what="the command to be held")
    a.do("peers", "role", "b", "viewer")
    _, complaint = waiting.communicate(timeout=60)
    assert waiting.returncode == 4, complaint
    assert "`sojourn peers role b peer` on host 'a' grants it" in complaint
    mover.communicate(timeout=60)
    assert mover.returncode == 0
    assert c.show("job")["status"] != "paused"


def test_many_refusals_are_counted_and_answered_and_do_not_fill_the_log(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b, there="viewer")
    b.kill()
    with posing(b, a) as pose:
        for number in range(200):
            answer = pose.ask(wire.Request(number, f"c{number}", None, wire.Cancel("job")))
            assert isinstance(answer, wire.Failure)
            assert answer.kind == "AccessDenied"
    lines = [e for e in a.log() if e["event"] == "refused" and e["kind"] == "relayed command"]
    assert len(lines) < 30
    assert peers_of(a)["b"]["refused"] == 200


def test_a_relay_that_holds_rubbish_is_answered_and_counted(two: tuple[Host, Host]) -> None:
    a, b = two
    paired(a, b)
    b.kill()
    with posing(b, a) as pose:
        pose.send(RelayRequest(1, b"\xc1", []))
        rejected = pose.rejected()
        assert "the request in it is malformed" in rejected.message
        assert isinstance(pose.ask(wire.Request(1, "look", None, wire.Jobs())), wire.Reply)
    assert peers_of(a)["b"]["refused"] == 1


def test_a_host_that_lies_about_a_commands_way_ends_the_command_and_nothing_else(
    two: tuple[Host, Host]
) -> None:
    a, b = two
    paired(a, b)
    b.kill()
    with posing(b, a) as pose:
        asking = a.start("jobs", "--host", "b")
        relayed = pose.heard(RelayRequest)
        pose.send(RelayReturned(relayed.relay, "nowhere"))
        _, complaint = asking.communicate(timeout=30)
        assert (asking.returncode, "round in a circle" in complaint) == (3, True), complaint
        assert isinstance(pose.ask(wire.Request(1, "look", None, wire.Jobs())), wire.Reply)
    assert a.running
