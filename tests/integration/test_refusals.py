"""Who may do what, and bad input on the command line and in Python."""

from __future__ import annotations

import importlib
import json
import math
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from sojourn import (
    Client,
    Flow,
    InvalidFlow,
    NoSupervisor,
    NotFound,
    Refused,
    UsageError,
    ValueNotEncodable,
)
from sojourn.hosts.connection import Connection
from sojourn.hosts.home import Home
from sojourn.hosts.peers.tokens import read_token, write_token
from sojourn.runtime.flow import FlowSpec, RoutineSpec, SlotSpec, encode_flow
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.client import (
    Command,
    Failure,
    Invite,
    Logs,
    Migrate,
    Request,
    Show,
    Submit,
    Wait,
    decode_answer,
    encode,
)
from tests.integration.conftest import MakeHost
from tests.integration.hosting import FLOWS, SOJOURN, Host, pair_hosts
from tests.waiting import wait_until


def refusals(host: Host, kind: str) -> list[dict[str, str]]:
    return [e for e in host.log() if e["event"] == "refused" and e["kind"] == kind]


def peers_of(host: Host) -> list[str]:
    return [peer["name"] for peer in json.loads(host.do("peers", "-o", "json"))]


def test_an_unknown_key_is_refused_and_logged(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    token = read_token(a.do("invite"))
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.set(zmq.LINGER, 0)
        stranger.set(zmq.CURVE_SERVERKEY, token.server_key.encode())
        stranger.set(zmq.CURVE_PUBLICKEY, public)
        stranger.set(zmq.CURVE_SECRETKEY, secret)
        stranger.connect(token.address)
        stranger.send(b"hello")
        wait_until(
            lambda: [e for e in refusals(a, "unknown key") if e["detail"] == public.decode()],
            what="the refusal in the log",
        )
        assert not stranger.poll(0)
    assert peers_of(a) == ["b"]


def test_a_token_is_good_once(make_host: MakeHost) -> None:
    a, b, c = (make_host(name).up() for name in "abc")
    token = a.do("invite")
    b.do("join", token)
    done = c.run("join", token)
    assert done.returncode == 4
    assert "used already" in done.stderr
    assert "sojourn invite" in done.stderr
    assert (peers_of(a), peers_of(c)) == (["b"], [])
    (logged,) = refusals(a, "pairing")
    assert logged["detail"].startswith("c: this invitation was used already")


def test_an_expired_token_is_refused_by_both_sides(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    line = a.do("invite", "--valid", "0")
    expired = b.run("join", line)
    assert (expired.returncode, "is over" in expired.stderr) == (4, True)
    # A guest that claims a longer life for it is refused by the host that made it.
    forged = b.run("join", write_token(msgspec.structs.replace(read_token(line), expires_at=4e9)))
    assert (forged.returncode, "is over" in forged.stderr) == (4, True)
    (logged,) = refusals(a, "pairing")
    assert logged["detail"].startswith("b: this invitation is over")
    assert peers_of(a) == peers_of(b) == []


def test_a_wrong_secret_is_refused_and_logged(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    token = read_token(a.do("invite"))
    public, secret = zmq.curve_keypair()
    wrong = b.run("join", write_token(msgspec.structs.replace(token, secret=secret.decode())))
    assert (wrong.returncode, "secret is wrong" in wrong.stderr) == (4, True)
    assert public.decode() in [entry["detail"] for entry in refusals(a, "unknown key")]
    damaged = b.run("join", a.do("invite")[:-4])
    assert (damaged.returncode, "whole line" in damaged.stderr) == (2, True)
    assert peers_of(a) == peers_of(b) == []


def test_a_name_that_another_key_has_is_refused(make_host: MakeHost, tmp_path: Path) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    impostor = Host(tmp_path / "elsewhere", "b", tmp_path / "effects")
    impostor.home.parent.mkdir()
    try:
        impostor.up()
        done = impostor.run("join", a.do("invite"))
        assert done.returncode == 4
        assert "another key" in done.stderr
    finally:
        impostor.close()


def test_a_peer_cannot_run_modules_outside_the_allow_list(
    make_host: MakeHost, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    a = make_host("a").up()
    b = make_host("b", paths=[elsewhere]).up()
    pair_hosts(a, b)
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    moved = a.run("migrate", "job", "--to", "b")
    assert moved.returncode == 7, moved.stderr
    assert "failing" in moved.stderr
    assert "stays on host 'a'" in moved.stderr
    assert any(e["event"] == "hand-off refused" and e["source"] == "a" for e in b.log())
    assert json.loads(b.do("jobs", "-o", "json")) == []
    assert a.show("job")["status"] == "running"
def test_a_peer_that_asks_for_a_module_outside_the_allow_list_is_logged_by_name(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    for locator in ("os:path", "json.decoder:JSONDecoder"):
        done = a.run("submit", locator, "--host", "b")
        assert done.returncode == 4, done.stderr
        assert "--allow" in done.stderr
        module = locator.partition(":")[0]
        assert [
            entry for entry in refusals(b, "relayed command")
            if entry["detail"].startswith("a: ") and module in entry["detail"]
        ]
    assert json.loads(b.do("jobs", "-o", "json")) == []


@pytest.mark.parametrize("through", ["client", "peer"])
def test_a_class_that_is_no_routine_is_refused(pair: tuple[Host, Host], through: str) -> None:
    a, b = pair
    spec = FlowSpec(
        "fake", "step",
        (
            RoutineSpec(
                "step", "values:Point", encode_fields({"args": [], "kwargs": {}}, where="x"),
                (SlotSpec("input", open=True),), (),
            ),
        ),
    )
    connection = Connection(Home((b if through == "client" else a).home), host="b")
    try:
        with pytest.raises(Refused, match="no Routine"):
            connection.request(Submit(None, encode_flow(spec), [encode_fields({}, where="x")], [None]))
    finally:
        connection.close()
    logged = [e["detail"] for e in refusals(b, "relayed command")]
    assert [detail.startswith("a: ") for detail in logged] == ([True] if through == "peer" else [])
    assert json.loads(b.do("jobs", "-o", "json")) == []


COMMANDS = [
    (("submit", "nowhere:flow"), 3, "no module"),
    (("submit", "failing:nothing"), 3, "no attribute 'nothing'; its flows: failing:quick, failing:healing"),
    (("submit", "failing:Start"), 2, "not a sojourn.Flow; its flows: failing:quick"),
    (("submit", "effects:flow"), 3, "it holds no flow"),
    (("submit", "failing"), 2, "MODULE:ATTR"),
    (("submit", "failing:quick", "--input", "{"), 2, "no JSON"),
    (("submit", "failing:quick", "--input", "[1]"), 2, "JSON object"),
    (("submit", "points:asking", "--input", '{"wrong": 1}'), 2, "'wrong'"),
    (("submit", "failing:quick", "--job-id", "a/b"), 2, "job id"),
    (("show", "nothing"), 3, "no job"),
    (("show", "same"), 2, "several jobs on host 'a' (same-2, same-1): give"),
    (("wait", "same-1", "--until", "failing.retry_count >>"), 2, "position"),
    (("wait", "same-1", "--until", "nothing.failed > 1"), 3, "no routine"),
    (("wait", "same-1", "--timeout", "0.05"), 124, "`sojourn show same-1` tells"),
    (("migrate", "same-1", "--to", "nowhere"), 3, "no peer"),
    (("migrate", "same-1", "--to", "a"), 2, "already"),
    (("export", "nothing", "/tmp/never-written.json"), 3, "no job"),
    (("pause", "same"), 2, "several jobs"),
    (("submit", "failing:quick", "--host", "nowhere"), 3, "no peer"),
    (("resume", "same-1", "--input", "{"), 2, "no JSON"),
    (("resume", "same-1"), 4, "not paused"),
    (("resume", "same-1", "--input", "{}"), 4, "no open question"),
    (("retry", "same-1"), 4, "only a failed"),
    (("migrate", "ended", "--to", "a"), 4, "`sojourn retry ended` takes it up again"),
    (("export", "ended", "/tmp/never.json", "--release", "--to", "b"), 4, "export it without --release"),
    (("export", "same-1", "/nothing/here.json"), 6, "can't be written"),
    (("show", "same-1", "--history", "-1"), 2, "range"),
    (("wait", "same-1", "--timeout", "-1"), 2, "0 or more"),
    (("wait", "same-1", "--timeout", "inf"), 2, "a century at most"),
    (("invite", "--valid", "1e300"), 2, "a century at most"),
    (("migrate", "same-1", "--to", "a", "--grace", "nan"), 2, "0 or more"),
    (("up", "--host", "b"), 2, "on host 'b'"),
    (("demo", "--host", "b"), 2, "on host 'b'"),
    (("up",), 4, "already runs"),
    (("forget", "same-1"), 4, "cancel it"),
    (("jobs", "--host", "nowhere"), 3, "no peer"),
    (("import", "/nothing/here.json"), 2, "can't be read"),
    (("frobnicate",), 2, "no command"),
    (("shwo", "x"), 2, "did you mean"),
    (("join", "rubbish"), 2, "whole line"),
]


@pytest.fixture(scope="module")
def busy_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host with two jobs that stay unfinished and one that failed, for commands that change nothing."""
    folder = tmp_path_factory.mktemp("busy")
    host = Host(folder, "a", folder / "effects")
    try:
        host.up()
        for job in ("same-1", "same-2"):
            host.submit("failing:endless", job)
            host.wait(job, "failing.retry_count >= 1")
        host.submit("failing:quick", "ended")
        host.wait("ended")
        yield host
        jobs = {job["job_id"]: job["status"] for job in json.loads(host.do("jobs", "-o", "json"))}
        assert jobs == {"same-1": "running", "same-2": "running", "ended": "failed"}
        assert [host.show(job)["history_total"] for job in ("same-1", "same-2")] == [2, 2]
    finally:
        host.close()


@pytest.mark.parametrize(("arguments", "code", "says"), COMMANDS, ids=[" ".join(c[0]) for c in COMMANDS])
def test_a_wrong_command_is_one_sentence_and_its_exit_code(
    busy_host: Host, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = busy_host.run(*arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    # One sentence; where it is about how to call a command, Click's usage stands before it.
    (sentence,) = [line for line in done.stderr.splitlines() if line.lower().startswith("error: ")]
    assert len(sentence) > len("error: ")
    assert busy_host.running


@pytest.mark.parametrize(
    "command",
    [
        Invite(math.inf), Invite(math.nan), Invite(1e300), Wait(["same-1"], None, math.nan),
        Wait(["same-1"], None, math.inf), Wait(["same-1"], None, -1.0), Migrate("same-1", "b", math.inf),
        Show("same-1", history=-1), Show("same-1", after=2**63), Show("same-1", pending=2**40),
        Logs("same-1", after=-1),
    ],
)
def test_numbers_that_nobody_can_reckon_with_end_no_supervisor(busy_host: Host, command: Command) -> None:
    request = encode(Request(1, "id", None, command))
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.connect(f"ipc://{Home(busy_host.home).client_socket}")
        line.send(request)
        assert line.poll(20_000)
        answer = decode_answer(line.recv())
    assert isinstance(answer, Failure)
    assert "malformed" in answer.message
    connection = Connection(Home(busy_host.home))
    with pytest.raises(UsageError, match="can't be asked for like that"):
        connection.request(command)
    connection.close()
    assert busy_host.running


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("nobody", "output", "dead", "letter"), "no routine 'nobody'"),
        (("picky", "nothing", "dead", "letter"), "no event 'nothing'"),
        (("picky", "output", "dead", "nothing"), "no slot 'nothing'"),
        (("nobody", "letter"), "no routine 'nobody'"),
        (("dead", "nothing"), "no slot 'nothing'"),
    ],
    ids=["routine", "event", "slot", "idle_routine", "idle_slot"],
)
def test_unknown_names_in_python_are_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], says: str
) -> None:
    monkeypatch.syspath_prepend(str(FLOWS))
    values = importlib.import_module("values")
    flow = Flow("new")
    flow.add_routine(values.Picky(), "picky")
    flow.add_routine(values.DeadLetters(), "dead")
    name_them = flow.connect if len(names) == 4 else flow.when_idle
    with pytest.raises(InvalidFlow, match=says):
        name_them(*names)


def test_errors_for_machines(busy_host: Host) -> None:
    done = busy_host.run("show", "nothing", "-o", "json")
    assert json.loads(done.stderr)["error"]["type"] == "NotFound"


def test_the_same_job_id_is_the_same_job_or_refused(host: Host) -> None:
    first = host.do("submit", "failing:quick", "--job-id", "job", "--input", '{"x": 1}')
    assert host.do("submit", "failing:quick", "--job-id", "job", "--input", '{"x": 1}') == first
    other = host.run("submit", "failing:quick", "--job-id", "job", "--input", '{"x": 2}')
    assert (other.returncode, "taken" in other.stderr) == (4, True)
    host.wait("job")
    host.do("forget", "job")
    again = host.run("submit", "failing:quick", "--job-id", "job", "--input", '{"x": 1}')
    assert (again.returncode, "forgotten" in again.stderr) == (4, True)


def test_no_supervisor(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SOJOURN, "jobs", "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "sojourn up" in done.stderr
    with pytest.raises(NoSupervisor):
        Client(tmp_path)


def test_a_port_that_is_taken_and_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*SOJOURN, "up", "--home", str(tmp_path / "h"), "--listen", f"tcp://127.0.0.1:{port}"],
            capture_output=True, text=True, check=False, timeout=30,
        )
    assert (done.returncode, str(port) in done.stderr) == (6, True), done.stderr
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = subprocess.run(
        [*SOJOURN, "up", "--home", str(blocked / "home")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "can't be written" in done.stderr) == (6, True)
    assert "Traceback" not in done.stderr


def test_values_that_cannot_be_stored(host: Host) -> None:
    with host.client() as client:
        with pytest.raises(ValueNotEncodable, match=r"input\['x'\]"):
            client.submit("failing:quick", x=object())
        with pytest.raises(NotFound):
            client.submit("nowhere:flow")
        client.submit("unstorable:attribute", job_id="attribute")
        client.submit("unstorable:emission", job_id="emission")
        for job, place in (("attribute", "attribute 'thing'"), ("emission", "event 'output'")):
            final = client.wait(job, timeout=30)
            assert final.status == "failed"
            assert final.error is not None
            assert final.error["type"] == "ValueNotEncodable"
            assert place in final.error["message"]
            assert [e["attempt"] for e in final.history] == [1], "it was retried"


def test_a_flow_of_this_process_is_submitted_by_value(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FLOWS))
    flow = importlib.import_module("failing").quick
    assert isinstance(flow, Flow)
    with host.client() as client:
        job = client.submit(flow, {"x": 1}, y=2)
        assert client.wait(job, timeout=60).serialize()["input"] == {"x": 1, "y": 2}
        assert client.submit_many(flow, [{}, {}], job_ids=["m1", "m2"]) == ["m1", "m2"]
        states = client.wait_all(["m1", "m2"], timeout=60)
        assert [state.status for state in states] == ["failed", "failed"]


def test_a_batch_with_a_name_that_is_taken_is_refused_whole(host: Host) -> None:
    with host.client() as client:
        client.submit("failing:quick", job_id="taken", x=1)
        for names in (["new", "taken"], ["new", "new"]):
            with pytest.raises(Refused):
                client.submit_many("failing:quick", [{"x": 2}, {"x": 3}], job_ids=names)
            with pytest.raises(NotFound):
                client.show("new")
        names = ["taken", "a", "b"]
        assert client.submit_many("failing:quick", [{"x": 1}, {"x": 1}, {"x": 2}], job_ids=names) == names
