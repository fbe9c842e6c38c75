"""Cycles of flows: what is on one, and what a full mailbox may hold back without holding itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.engine.cycles import components, feeders
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.flow import Connection, FlowSpec, RoutineSpec

NAMES = "abcdefg"
edges_of = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20)


def reached(edges: list[tuple[str, str]], start: str) -> set[str]:
    """Everything that a node leads to, itself included, by brute force."""
    found = {start}
    while True:
        more = {target for source, target in edges if source in found} - found
        if not more:
            return found
        found |= more


@given(edges_of)
def test_nodes_are_in_one_component_if_each_leads_to_the_other(edges: list[tuple[str, str]]) -> None:
    found = components({name: [target for source, target in edges if source == name] for name in NAMES})
    for one in NAMES:
        for other in NAMES:
            mutual = other in reached(edges, one) and one in reached(edges, other)
            assert (found[one] == found[other]) is mutual


@given(edges_of)
def test_who_is_held_back_never_waits_for_himself(edges: list[tuple[str, str]]) -> None:
    spec = FlowSpec(
        "flow", "a", tuple(RoutineSpec(name, f"m:{name}", b"", (), ()) for name in NAMES),
        tuple(Connection(source, "output", target, "input") for source, target in edges),
    )
    held = feeders(spec)
    waits = [(source, target) for target, sources in held.items() for source in sources]
    assert set(waits) <= set(edges)
    for source, target in waits:
        assert source not in reached(waits, target)
    for source, target in edges:
        assert (source, target) in waits or source in reached(edges, target)


def test_a_flow_from_elsewhere_may_connect_a_routine_that_it_lacks() -> None:
    known = RoutineSpec("a", "m:a", b"", (), ())
    plan = FlowPlan("digest", FlowSpec("flow", "a", (known,), (Connection("b", "output", "a", "input"),)))
    assert plan.routes["a"] == {}


def test_a_long_chain_and_a_long_cycle() -> None:
    names = [str(number) for number in range(5000)]
    chain = dict(zip(names, [[name] for name in names[1:]], strict=False))
    assert len(set(components({**chain, names[-1]: []}).values())) == 5000
    assert len(set(components({**chain, names[-1]: [names[0]]}).values())) == 1
