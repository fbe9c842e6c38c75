"""What peers may have open towards a host at once."""

from __future__ import annotations

from sojourn.runtime.flow import encode_flow
from sojourn.runtime.handoff.crowding import (
    MOST_HELD,
    MOST_OPEN,
    against_another,
    against_more,
)
from sojourn.runtime.handoff.effects import Effect, InspectionDone, Send
from sojourn.runtime.handoff.parts import LARGEST_PART
from sojourn.runtime.handoff.source import Patience
from sojourn.runtime.handoff.target import LEAST_FREE, TargetFacts, TargetHandoff
from sojourn.runtime.wire.handoff import CHUNK_BYTES, Abort, Chunk, HandoffRefused, Preflight
from tests.runtime.job_images import FLOW

PLENTY = 1 << 40
PIECE = bytes(CHUNK_BYTES)


def begun(number: int, peer: str = "liar") -> TargetHandoff:
    """A hand-off that is ready for chunks."""
    asked = Preflight(f"m{number}", f"job-{number}", "i", 1, "s", encode_flow(FLOW), "", [], 0)
    machine = TargetHandoff(asked, peer, "t", Patience())
    machine.begin(TargetFacts("b"), 0.0)
    machine.step(InspectionDone("", "", []), 0.0)
    return machine


def fed(machine: TargetHandoff, size: int) -> list[Effect]:
    """Give it chunks of a part that doesn't end, so many bytes; what the last one had as effects."""
    effects: list[Effect] = []
    for number in range(size // CHUNK_BYTES):
        effects = machine.step(Chunk(machine.m, number, PIECE, last=False), 0.0)
    return effects


def test_a_peer_has_a_bounded_number_of_hand_offs_open() -> None:
    machines = [begun(number) for number in range(MOST_OPEN - 1)]
    assert against_another("liar", "b", machines) is None
    machines.append(begun(MOST_OPEN))
    assert "`sojourn handoff list`" in (against_another("liar", "b", machines) or "")
    assert against_another("honest", "b", machines) is None
    machines[0].step(Abort("m0", "enough"), 0.0)
    assert against_another("liar", "b", machines) is None


def test_what_a_hand_off_was_asked_with_is_let_go_once_it_was_looked_at() -> None:
    asked = Preflight(
        "m", "job", "i", 1, "s", encode_flow(FLOW), "", [("f" * 1000, "d")] * 1000, 0,
        blobs=[("d" * 64, 1)] * 1000,
    )
    machine = TargetHandoff(asked, "a", "t", Patience())
    machine.begin(TargetFacts("b"), 0.0)
    assert machine.held_bytes > 1_000_000
    machine.step(InspectionDone("", "", []), 0.0)
    assert machine.held_bytes == 0
    assert not machine.asked.files


def test_a_part_without_end_is_refused() -> None:
    machine = begun(1)
    fed(machine, LARGEST_PART)
    assert machine.held_bytes == LARGEST_PART
    [refused, *_] = machine.step(
        Chunk(machine.m, LARGEST_PART // CHUNK_BYTES, PIECE, last=False), 0.0
    )
    assert isinstance(refused, Send)
    assert isinstance(refused.message, HandoffRefused)


def test_parts_without_end_of_many_hand_offs_are_bounded_together() -> None:
    machines = [begun(number) for number in range(3)]
    for machine in machines[:2]:
        fed(machine, LARGEST_PART)
    assert against_more(machines[2], machines, "b", PLENTY) is None
    fed(machines[2], CHUNK_BYTES)
    assert sum(machine.held_bytes for machine in machines) > MOST_HELD
    assert "memory" in (against_more(machines[2], machines, "b", PLENTY) or "")
    assert "memory" in (against_another("liar", "b", machines) or "")
    other = begun(9, "honest")
    assert against_more(other, [*machines, other], "b", PLENTY) is None


def test_a_full_disk_takes_no_more() -> None:
    machine = begun(1)
    assert against_more(machine, [machine], "b", LEAST_FREE) is None
    assert "disk" in (against_more(machine, [machine], "b", LEAST_FREE - 1) or "")
