"""The table of roles: complete, ordered, and closed to what it doesn't name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sojourn.runtime.job import PeerRow
from sojourn.runtime.roles import (
    COMMANDS,
    HERE_ONLY,
    LOOK,
    MESSAGES,
    Hearing,
    Role,
    may,
    may_hand_over,
)
from sojourn.runtime.wire import client, peer

LOOKS = {"Jobs", "Show", "Wait", "Logs", "Peers", "Handoffs", "Status"}
OF_A_JOB = {
    "Pause", "Resume", "Cancel", "Retry", "Forget", "Migrate", "MigrateMany", "DryRun", "Export", "Submit",
}


def test_every_command_and_every_message_has_its_line() -> None:
    assert set(COMMANDS) == {command.__name__ for command in client.Command.__args__}
    assert set(MESSAGES) == {message.__name__ for message in peer.PeerMessage.__args__}


def test_a_viewer_looks_and_nothing_else() -> None:
    assert {name for name in COMMANDS if may(Role.VIEWER, name, own=True)} == LOOKS
    assert not may_hand_over(Role.VIEWER)


def test_a_peer_acts_on_its_own_jobs_and_an_operator_on_all() -> None:
    assert {name for name in COMMANDS if may(Role.PEER, name, own=False)} == LOOKS
    assert {name for name in COMMANDS if may(Role.PEER, name, own=True)} == LOOKS | OF_A_JOB
    never = {name for name, right in COMMANDS.items() if right == HERE_ONLY}
    assert {name for name in COMMANDS if may(Role.OPERATOR, name, own=False)} == set(COMMANDS) - never
    assert may_hand_over(Role.PEER)
    assert may_hand_over(Role.OPERATOR)


@pytest.mark.parametrize("role", Role)
def test_no_role_changes_who_is_paired_and_none_may_what_is_not_in_the_table(role: Role) -> None:
    for name in ("Invite", "Join", "SetRole", "Revoke", "Shutdown"):
        assert not may(role, name, own=True)
        assert not may(role, name, own=False)


def test_each_role_can_do_what_the_one_before_it_can() -> None:
    for lower, higher in ((Role.VIEWER, Role.PEER), (Role.PEER, Role.OPERATOR)):
        assert higher.includes(lower)
        assert not lower.includes(higher)
        for name in COMMANDS:
            for own in (False, True):
                assert may(higher, name, own=own) or not may(lower, name, own=own)


def test_a_hand_off_that_began_ends_whatever_the_role() -> None:
    begins = [name for name, heard in MESSAGES.items() if heard is Hearing.BEGINS]
    assert begins == ["Preflight", "Survey"]
    assert MESSAGES["Commit"] is MESSAGES["Ack"] is Hearing.GOES_ON
    assert COMMANDS["Show"] == LOOK


def test_who_was_paired_before_there_were_roles_can_do_what_it_could() -> None:
    row = {"name": "b", "public_key": "k", "address": None, "store_id": "s", "paired_at": 1.0}
    known = msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=PeerRow)
    assert (known.role, known.revoked_at) == (Role.OPERATOR, None)


def spelled(role: Role | None) -> str:
    return "nobody" if role is None else role.value


def test_the_page_says_what_the_tables_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    lines = [line.strip("|").split("|") for line in text.splitlines() if "|" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    commands = {
        name: (row[1].strip("`"), row[2].strip("`"))
        for row in rows if len(row) == 3 for name in row[0].split(", ") if name in COMMANDS
    }
    assert commands == {
        name: (spelled(right.any_job), spelled(right.own_job or right.any_job))
        for name, right in COMMANDS.items()
    }
    messages = {
        name: row[1] for row in rows if len(row) == 2 for name in row[0].split(", ") if name in MESSAGES
    }
    assert messages == {name: hearing.value for name, hearing in MESSAGES.items()}
