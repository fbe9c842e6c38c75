"""The end of a pairing: at once, for good, and not while only the other host knows where a job is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.tokens import read_token
from sojourn.runtime.wire import client as wire
from sojourn.runtime.wire.handoff import Preflight
from sojourn.runtime.wire.peer import Pair, Paired, PairRefused, RelayRequest, decode, encode
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, connected, pair_hosts
from tests.integration.posing import PATIENCE_MS, posing
from tests.waiting import wait_until


def peers_of(host: Host) -> dict[str, dict[str, Any]]:
    return {peer["name"]: peer for peer in json.loads(host.do("peers", "-o", "json"))}


def job_on(host: Host, job: str = "job") -> None:
    host.submit("points:asking", job)
    host.wait(job, "status == 'paused'")


def use_token(token: str, pair: Pair) -> Paired | PairRefused:
    """Use an invitation as any program could that has its text."""
    found = read_token(token)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.CURVE_SERVERKEY, found.server_key.encode())
        socket.set(zmq.CURVE_SECRETKEY, found.secret.encode())
        socket.set(zmq.CURVE_PUBLICKEY, zmq.curve_public(found.secret.encode()))
        socket.connect(found.address)
        socket.send(encode(pair))
        assert socket.poll(PATIENCE_MS)
        answer = decode(socket.recv())
    assert isinstance(answer, Paired | PairRefused)
    return answer


def test_a_revoked_host_is_cut_off_told_why_and_stays_so_after_restarts(pair: tuple[Host, Host]) -> None:
    a, b = pair
    job_on(b)
    b.migrate("job", a)
    job_on(a, "there")
    a.migrate("there", b)
    following = b.start("wait", "job", "--host", "a")
    wait_until(lambda: any(e["event"] == "relayed command" for e in a.log()), what="b to follow")
    waiting = a.start("wait", "there")
    wait_until(lambda: any(e["event"] == "relayed command" for e in b.log()), what="a to follow")
    said = a.do("peers", "revoke", "b").splitlines()
    assert said[0] == "b is revoked: its key is refused from now on"
    assert said[1].endswith(": there")
    assert peers_of(a) == {}
    _, complaint = waiting.communicate(timeout=30)
    assert (waiting.returncode, "host 'b' was revoked on host 'a'" in complaint) == (4, True), complaint
    wait_until(lambda: peers_of(b)["a"]["state"] == "refused", what="b to be told")
    assert "revoked this pairing" in peers_of(b)["a"]["why"]
    for command in (("cancel", "job"), ("show", "job", "--host", "a"), ("migrate", "there", "--to", "a")):
        assert b.run(*command).returncode in (5, 7)
    following.kill()
    following.communicate()
    gone = a.run("pause", "there")
    assert (gone.returncode, "revoked its peer 'b'" in gone.stderr) == (3, True), gone.stderr
    assert a.show("there")["moved_to"] == "b"
    for host in pair:
        host.kill()
        host.up()
    wait_until(lambda: peers_of(b)["a"]["state"] == "refused", what="b to be refused again")
    assert "refuses this host's key" in peers_of(b)["a"]["why"]
    assert peers_of(a) == {}
    assert a.show("job")["status"] == "paused"
    assert b.show("there")["status"] == "paused"


def test_a_session_that_is_open_loses_its_rights_at_once_and_is_cut(pair: tuple[Host, Host]) -> None:
    a, b = pair
    job_on(a)
    b.kill()
    with posing(b, a) as pose:
        monitor = pose.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        assert isinstance(pose.ask(wire.Request(1, "one", None, wire.Jobs())), wire.Reply)
        a.do("peers", "revoke", "b")
        assert "revoked this pairing" in pose.refused().message
        pose.send(RelayRequest(99, wire.encode(wire.Request(2, "two", None, wire.Cancel("job"))), []))
        pose.send(Preflight("m", "other", "i", 1, "store", b"", "", [], 0))
        assert pose.closed(monitor)
        pose.socket.disable_monitor()
        monitor.close(0)
        wait_until(
            lambda: any(e["event"] == "refused" and e["kind"] == "unknown key" for e in a.log()),
            what="its key to be refused when it dials again",
        )
    assert a.show("job")["status"] == "paused"
    assert [e["job_id"] for e in json.loads(a.do("jobs", "-o", "json"))] == ["job"]


def test_an_old_session_has_no_part_in_a_new_pairing_under_its_name(
    pair: tuple[Host, Host], make_host: MakeHost
) -> None:
    a, b = pair
    job_on(a)
    b.kill()
    with posing(b, a) as pose:
        a.do("peers", "revoke", "b")
        (Home(b.home).keys / "host.key").unlink()
        b.up()
        b.do("join", a.do("invite"))
        wait_until(lambda: connected(a), what="the new b to be connected")
        pose.send(RelayRequest(99, wire.encode(wire.Request(2, "two", None, wire.Cancel("job"))), []))
        b.do("pause", "job", "--host", "a")
    assert a.show("job")["status"] == "paused"
    assert a.show("job")["waiting"]


def test_who_was_revoked_is_paired_anew_by_a_new_invitation_alone(pair: tuple[Host, Host]) -> None:
    a, b = pair
    open_ = a.do("invite", "--role", "operator")
    used = a.do("invite", "--role", "operator")
    b.do("join", used)
    a.do("peers", "role", "b", "viewer")
    body = json.loads(a.do("peers", "revoke", "b", "-o", "json"))
    assert body == {"name": "b", "jobs": [], "in_doubt": [], "invitations": 1}
    for token in (open_, used):
        done = b.run("join", token)
        assert done.returncode == 4
        assert "ended when host 'b' was revoked" in done.stderr
    a.kill()
    a.up()
    assert b.run("join", open_).returncode == 4
    b.do("join", a.do("invite", "--role", "peer"))
    wait_until(lambda: connected(a) and connected(b), what="both hosts to be connected")
    assert peers_of(a)["b"]["role"] == "peer"
    job_on(b)
    assert b.migrate("job", a).epoch == 2


def test_a_used_invitation_that_is_used_again_by_its_host_raises_no_role(pair: tuple[Host, Host]) -> None:
    a, b = pair
    token = a.do("invite", "--role", "operator")
    b.do("join", token)
    a.do("peers", "role", "b", "viewer")
    again = b.run("join", token)
    assert again.returncode == 0, again.stderr
    assert peers_of(a)["b"]["role"] == "viewer"
    keys = Keys.load_or_create(Home(b.home).keys)
    renamed = use_token(token, Pair("c", keys.public, None, "store"))
    assert isinstance(renamed, PairRefused)
    assert "knows this key as host 'b'" in renamed.message
    assert set(peers_of(a)) == {"b"}


def test_a_revoke_waits_for_a_hand_off_in_doubt_unless_forced(make_host: MakeHost) -> None:
    a = make_host("a").up()
    b = make_host("b").up(SOJOURN_STOP_POINT="target.before-write-owned")
    pair_hosts(a, b)
    job_on(a)
    moving = a.start("migrate", "job", "--to", "b")
    wait_until(
        lambda: any(e["in_doubt"] for e in json.loads(a.do("handoff", "list", "-o", "json"))),
        what="the job to be in doubt",
    )
    done = a.run("peers", "revoke", "b")
    assert done.returncode == 4, done.stderr
    assert "only that host can say where job job is" in done.stderr
    assert "--force" in done.stderr
    assert set(peers_of(a)) == {"b"}
    said = a.do("peers", "revoke", "b", "--force")
    assert "job job is in doubt and runs nowhere" in said
    [entry] = json.loads(a.do("handoff", "show", "job", "-o", "json"))
    assert (entry["in_doubt"], entry["state"]) == (True, "released")
    b.kill()
    moving.kill()
    moving.communicate()
    a.do("handoff", "resolve", "job", "--force", "reclaim")
    assert a.show("job")["epoch"] == 3
    a.do("resume", "job", "--input", '{"approved": true}')
    assert a.wait("job")["status"] == "completed"


def test_a_revoke_ends_a_hand_off_that_has_begun_and_the_job_goes_on(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    a.submit("crashing:sleeper", "job", seconds=25.0)
    moving = a.start("migrate", "job", "--to", "b", "--grace", "60")
    wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
    a.do("peers", "revoke", "b")
    _, complaint = moving.communicate(timeout=30)
    assert (moving.returncode, "host 'b' was revoked" in complaint) == (7, True), complaint
    assert a.wait("job")["status"] == "completed"
    assert a.show("job")["host"] == "a"


@pytest.mark.parametrize("command", ["revoke", "role"])
def test_a_host_that_is_no_peer_is_not_found(host: Host, command: str) -> None:
    done = host.run("peers", command, "nobody", *(["viewer"] if command == "role" else []))
    assert (done.returncode, "no peer 'nobody'" in done.stderr) == (3, True)
