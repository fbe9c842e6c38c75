"""Hosts that are gone for good, that come back after all, or whose store was put back from a copy."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from sojourn.runtime.job import JobHead, Ownership
from tests.integration.conftest import MakeHost
from tests.integration.hosting import (
    Host,
    Json,
    attempts,
    check_effects,
    connected,
    pair_hosts,
    read_effects,
)
from tests.integration.moving import begin_move, go_on, stopping_at, wait_stopped, warm_up
from tests.waiting import wait_until


def begin(a: Host, b: Host, flow: str = "failing:crossing", retries: int = 3) -> None:
    """Pair two hosts and let a job of the first wait for an attempt."""
    pair_hosts(a, b)
    warm_up(b, flow)
    a.submit(flow, "job")
    a.wait("job", f"failing.retry_count >= {retries}")


def doubts(host: Host) -> list[Json]:
    """What a host says of its open hand-offs."""
    found: list[Json] = json.loads(host.do("handoff", "list", "-o", "json"))
    return found


def check_healed(final: Json, effects: Path) -> None:
    """The job ended well, with exact attempts."""
    assert final["status"] == "completed"
    charged = [entry for entry in attempts(final, "failing") if entry[2] != "interrupted"]
    assert [number for _, number, _, _ in charged] == [1, 2, 3, 4]
    check_effects(read_effects(effects), final)


def test_a_target_that_is_gone_for_good_before_it_owned_the_job(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-owned")
    begin(a, b)
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    said = mover.communicate(timeout=60)[1]
    assert mover.returncode == 8, said
    (doubt,) = doubts(a)
    assert (doubt["role"], doubt["state"], doubt["in_doubt"]) == ("source", "released", True)
    assert "--force reclaim" in doubt["command"]
    assert a.run("handoff", "resolve", "job", "--force", "accept").returncode == 2
    assert a.show("job")["status"] == "moving"

    body = json.loads(a.do("handoff", "resolve", "job", "--force", "reclaim", "-o", "json"))
    assert (body["epoch"], body["unreachable"]) == (3, ["b"])
    final = a.wait("job")
    check_healed(final, effects)
    assert doubts(a) == []

    b.up()
    wait_until(lambda: not doubts(b), 20.0, "b to find out that the job was taken back")
    assert b.run("show", "job").returncode == 3
    assert len(read_effects(effects)) == len([e for e in read_effects(effects) if e.host == "a"]) + 1


def test_a_target_that_owned_the_job_and_comes_back_after_it_was_taken_back(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-send-ack")
    begin(a, b)
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    mover.communicate(timeout=60)
    assert mover.returncode == 8
    a.do("handoff", "resolve", "job", "--force", "reclaim")
    check_healed(a.wait("job"), effects)
    ran = len(read_effects(effects))

    b.up()
    wait_until(lambda: b.show("job")["status"] == "moved", 20.0, "b to give way")
    assert b.show("job")["moved_to"] == "a"
    assert len(read_effects(effects)) == ran, "b ran what was taken back"


def test_a_source_that_is_gone_for_good_before_it_decided(make_host: MakeHost, effects: Path) -> None:
    a, b = make_host("a").up(SOJOURN_CRASH_POINT="source.before-write-released"), make_host("b").up()
    begin(a, b)
    mover = a.start("migrate", "job", "--to", "b")
    a.died()
    mover.communicate(timeout=60)
    (doubt,) = wait_until(lambda: doubts(b), 20.0, "b to be in doubt")
    assert (doubt["role"], doubt["state"], doubt["owner"]) == ("target", "prepared", None)
    assert b.run("handoff", "resolve", "job", "--force", "reclaim").returncode == 2
    wait_until(lambda: not connected(b), 20.0, "b to notice that a is gone")
    b.do("handoff", "resolve", "job", "--force", "accept")
    final = b.wait("job")
    assert final["epoch"] == 3
    check_healed(final, effects)
    ran = len(read_effects(effects))

    a.up()
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to give way")
    assert len(read_effects(effects)) == ran, "a ran what was taken by force, before it asked"


def test_an_owner_whose_source_never_confirmed_waits_for_it_after_a_restart(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(SOJOURN_CRASH_POINT="source.before-write-gone"), make_host("b").up()
    begin(a, b, "failing:endless", 1)
    mover = a.start("migrate", "job", "--to", "b")
    a.died()
    mover.communicate(timeout=60)
    wait_until(lambda: b.show("job")["epoch"] == 2, 20.0, "b to own the job")
    b.kill()
    b.up()
    document = b.show("job")
    assert document["status"] == "blocked"
    assert "--force accept" in document["reason"]
    assert b.run("cancel", "job").returncode == 4
    b.do("handoff", "resolve", "job", "--force", "accept")
    assert b.show("job")["epoch"] == 3
    assert b.show("job")["status"] == "running"
    a.up()
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to learn that b has the job")
    b.do("cancel", "job")


def test_force_is_refused_while_the_other_side_can_answer(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin(a, b, "failing:endless", 1)
    refused = a.run("handoff", "resolve", "job", "--force", "reclaim")
    assert refused.returncode == 4, refused.stderr
    assert "nothing about job job is in doubt" in refused.stderr
    assert a.run("handoff", "show", "nonesuch").returncode == 3
    assert "never handed over" in a.do("handoff", "show", "job")
    a.do("migrate", "job", "--to", "b")
    assert "gone" in a.do("handoff", "show", "job")
    b.do("cancel", "job")


def test_a_target_that_was_made_anew_does_not_know_the_job_and_it_can_be_taken_back(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-owned")
    begin(a, b)
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    mover.communicate(timeout=60)
    for path in b.home.glob("store.db*"):
        path.unlink()
    b.up()
    b.do("join", a.do("invite"))
    wait_until(lambda: connected(a), 20.0, "a to see the new b")
    (doubt,) = wait_until(
        lambda: [entry for entry in doubts(a) if "another store" in entry["why"]], 20.0, "a to notice",
    )
    assert doubt["command"] == "sojourn handoff resolve job --force reclaim"
    a.do("handoff", "resolve", "job", "--force", "reclaim")
    check_healed(a.wait("job"), effects)


def copy_store(host: Host, folder: Path, *, incarnation: bool) -> None:
    """Copy what a backup of a host that is down would hold."""
    folder.mkdir()
    for path in host.home.glob("store.db*"):
        if incarnation or not path.name.endswith(".incarnation"):
            shutil.copy2(path, folder / path.name)


def begin_and_copy(a: Host, b: Host, folder: Path, *, incarnation: bool) -> None:
    """Start a job on one of two paired hosts and copy its store; the host is up again."""
    begin(a, b, "failing:endless", 1)
    a.terminate()
    copy_store(a, folder, incarnation=incarnation)
    a.up()
    wait_until(lambda: connected(a), 20.0, "a to see b")


def put_back(host: Host, folder: Path) -> None:
    """Put a backup back."""
    for path in host.home.glob("store.db*"):
        if (folder / path.name).exists() or not path.name.endswith(".incarnation"):
            path.unlink()
    for path in folder.iterdir():
        shutil.copy2(path, host.home / path.name)


def test_a_store_that_was_put_back_from_a_copy_gives_way_to_the_owner(
    make_host: MakeHost, effects: Path, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin_and_copy(a, b, tmp_path / "backup", incarnation=False)
    a.do("migrate", "job", "--to", "b")
    a.terminate()
    put_back(a, tmp_path / "backup")
    ran = len([effect for effect in read_effects(effects) if effect.host == "a"])
    a.up()
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to give way to b")
    assert b.show("job")["epoch"] == 2
    assert len([effect for effect in read_effects(effects) if effect.host == "a"]) == ran
    b.do("cancel", "job")


def test_a_job_that_came_back_after_the_copy_goes_on_from_the_copy_later_than_anybody_knows(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin_and_copy(a, b, tmp_path / "backup", incarnation=False)
    a.do("migrate", "job", "--to", "b")
    b.do("migrate", "job", "--to", "a")
    a.terminate()
    put_back(a, tmp_path / "backup")
    a.up()
    wait_until(lambda: a.show("job")["status"] == "running", 20.0, "b to say that it has nothing")
    assert a.show("job")["epoch"] == 4
    a.do("migrate", "job", "--to", "b")
    assert b.show("job")["epoch"] == 5
    b.do("cancel", "job")


def test_a_whole_home_that_was_put_back_stops_as_soon_as_a_peer_tells_it(
    make_host: MakeHost, effects: Path, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin_and_copy(a, b, tmp_path / "backup", incarnation=True)
    a.do("migrate", "job", "--to", "b")
    a.terminate()
    put_back(a, tmp_path / "backup")
    a.launch()
    a.died()
    assert "put back from a copy" in a.output
    ran = len([effect for effect in read_effects(effects) if effect.host == "a"])
    a.up()
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to give way to b")
    assert len([effect for effect in read_effects(effects) if effect.host == "a"]) == ran
    b.do("cancel", "job")


def test_a_restored_store_waits_for_a_peer_that_is_away_until_someone_accepts_it(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin(a, b, "failing:endless", 1)
    a.terminate()
    copy_store(a, tmp_path / "backup", incarnation=False)
    a.up()
    a.terminate()
    b.terminate()
    put_back(a, tmp_path / "backup")
    a.up()
    document = a.show("job")
    assert document["status"] == "blocked"
    assert "--accept-restored-store" in document["reason"]
    a.submit("failing:quick", "fresh")
    assert a.wait("fresh", "failing.retry_count >= 1")["status"] == "running"
    a.terminate()
    a.up("--accept-restored-store")
    assert a.show("job")["status"] == "running"
    a.do("cancel", "job")


def test_force_is_refused_while_a_host_in_doubt_is_connected(make_host: MakeHost, effects: Path) -> None:
    a, b = make_host("a").up(), make_host("b").up(**stopping_at("target.before-write-owned"))
    begin(a, b)
    move = begin_move(a, "job", b)
    wait_stopped(b)
    refused = a.run("handoff", "resolve", "job", "--force", "reclaim")
    assert refused.returncode == 4, refused.stderr
    assert "job job needs no force: host 'b' can be reached from host 'a'" in refused.stderr
    go_on(b)
    assert move.result(60).epoch == 2
    check_healed(b.wait("job"), effects)


def claim_at(host: Host, epoch: int) -> None:
    """Have a store that isn't open say that its host owns the job, at an epoch."""
    with closing(sqlite3.connect(host.home / "store.db", isolation_level=None)) as store:
        ((encoded,),) = store.execute("SELECT head FROM jobs WHERE job_id = 'job'")
        head = msgspec.msgpack.decode(encoded, type=JobHead)
        head.ownership, head.epoch = Ownership.OWNED, epoch
        head.moved_to = head.given_to = head.finished_at = None
        store.execute(
            "UPDATE jobs SET ownership = 'owned', finished_at = NULL, head = ? WHERE job_id = 'job'",
            (msgspec.msgpack.encode(head),),
        )
        store.execute("DELETE FROM handoffs")


def test_two_owners_of_one_epoch_stop_each_other_and_say_how_to_resolve_it(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    begin(a, b, "failing:endless", 1)
    a.migrate("job", b)
    a.terminate()
    b.terminate()
    for host in (a, b):
        claim_at(host, 2)
        host.launch()
    a.ready()
    b.ready()
    for host, other in ((a, b), (b, a)):
        host.wait("job", "status == 'blocked'")
        reason = host.show("job")["reason"]
        assert reason.startswith("two owners: hosts")
        assert "both hold it at epoch 2" in reason
        assert "--force reclaim" in reason
        (doubt,) = doubts(host)
        assert (doubt["state"], doubt["peer"], doubt["in_doubt"]) == ("two owners", other.name, True)
        assert host.run("retry", "job").returncode == 4
    body = json.loads(a.do("handoff", "resolve", "job", "--force", "reclaim", "-o", "json"))
    assert (body["epoch"], body["asked"]) == (4, ["b"])
    wait_until(lambda: b.show("job")["status"] == "moved", 20.0, "b to give way")
    assert (b.show("job")["moved_to"], doubts(a), doubts(b)) == ("a", [], [])
    a.wait("job", "status == 'running'")
