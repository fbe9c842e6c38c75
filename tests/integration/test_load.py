"""More messages than a mailbox holds, with real supervisors: counted in objects, over kills and moves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.pool import LARGEST_WINDOW
from sojourn.runtime.wire.client import Status
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, Json, pair_hosts
from tests.integration.judging import wait_for_owner
from tests.integration.moving import begin_move, stopping_at, wait_stopped
from tests.waiting import wait_until

MESSAGES = 9_000
MOST = Bounds().mailbox + LARGEST_WINDOW


def messages_of(host: Host) -> Json:
    found: Json = host.ask(Status())["messages"]
    return found


def test_what_has_no_room_in_a_mailbox_stays_on_disk_over_kills_and_moves(
    pair: tuple[Host, Host], tmp_path: Path
) -> None:
    a, b = pair
    flag = tmp_path / "flag"
    a.submit("overflow:flow", "job", n=MESSAGES, flag=str(flag))
    a.wait("job", "emit.succeeded >= 1")
    assert messages_of(a)["pending"] == MESSAGES
    assert messages_of(a)["full_mailboxes"] == 1
    assert messages_of(a)["in_memory"] <= MOST
    a.kill()
    a.up()
    assert messages_of(a)["pending"] == MESSAGES
    assert messages_of(a)["in_memory"] <= MOST
    a.migrate("job", b)
    assert messages_of(a) == {"pending": 0, "in_memory": 0, "full_mailboxes": 0}
    found = messages_of(b)
    assert (found["pending"], found["full_mailboxes"]) == (MESSAGES, 1)
    assert found["in_memory"] <= MOST
    assert b.show("job")["pending_total"] == MESSAGES
    flag.touch()
    final = b.wait("job")
    assert final["status"] == "completed", final["error"]
    assert final["result"] == {"seen": MESSAGES}
    assert final["history_total"] == MESSAGES + 1 + final_interruptions(final)


def has_ended(host: Host, attempts: int) -> bool:
    total: int = host.show("job")["history_total"]
    return total > attempts


@pytest.mark.parametrize("point", ["source.after-write-released", "target.after-write-prepared"])
def test_a_long_mailbox_survives_the_death_of_both_hosts_and_more_while_it_is_worked_off(
    make_host: MakeHost, tmp_path: Path, point: str
) -> None:
    """Its consumer takes numbers in order and nothing else: one lost or doubled would end the job."""
    flag = tmp_path / "flag"
    a, b = make_host("a"), make_host("b")
    there = a if point.startswith("source.") else b
    for host in (a, b):
        host.launch(**(stopping_at(point) if host is there else {}))
    pair_hosts(a.ready(), b.ready())
    a.submit("overflow:flow", "job", n=MESSAGES, flag=str(flag))
    a.wait("job", "emit.succeeded >= 1")
    move = begin_move(a, "job", b)
    wait_stopped(there)
    for host in (a, b):
        host.kill()
    for host in (a, b):
        host.launch()
    for host in (a, b):
        host.ready()
    move.exception(60)
    owner = wait_for_owner((a, b), "job")
    assert messages_of(owner)["pending"] == MESSAGES
    assert messages_of(owner)["in_memory"] <= MOST
    flag.touch()
    for part in (1, 2):  # the messages on disk alone are read back in between
        wait_until(partial(has_ended, owner, part * MESSAGES // 3), what="turns")
        owner.kill()
        owner.up()
    final = owner.wait("job")
    assert (final["status"], final["result"]) == ("completed", {"seen": MESSAGES}), final["error"]


def final_interruptions(document: Json) -> int:
    """Count the attempts of the first message that were cut short by the kill and the move."""
    return sum(entry["outcome"] == "interrupted" for entry in document["history"])


def test_a_priority_is_shown_and_travels_with_its_job(pair: tuple[Host, Host], tmp_path: Path) -> None:
    a, b = pair
    flag = tmp_path / "flag"
    data = f'{{"n": 1, "flag": "{flag}"}}'
    job = a.do("submit", "overflow:flow", "--input", data, "--priority", "-2")
    a.wait(job, "emit.succeeded >= 1")
    assert "epoch 1, priority -2\n" in a.do("show", job) + "\n"
    assert "priority -2" in a.do("jobs")
    a.migrate(job, b)
    assert b.show(job)["priority"] == -2
    b.kill()
    b.up()
    assert b.show(job)["priority"] == -2
    wrong = a.run("submit", "overflow:flow", "--input", data, "--priority", "4")
    assert wrong.returncode == 2
    assert "priority" in wrong.stderr
