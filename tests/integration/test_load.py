"""More messages than a mailbox holds, with real supervisors: counted in objects, over kills and moves."""

from __future__ import annotations

from pathlib import Path

from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.pool import LARGEST_WINDOW
from sojourn.runtime.wire.client import Status
from tests.integration.hosting import Host, Json

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
