"""Which routines of a flow lie on a common cycle, and whom a full mailbox holds back.

A full mailbox holds back what feeds it from outside its cycle. Within a cycle nothing is held: each would
wait for the other for ever. What is left to hold is a graph without cycles, so that its end always goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sojourn.runtime.flow import FlowSpec


def feeders(spec: FlowSpec) -> dict[str, tuple[str, ...]]:
    """Give, per routine, those that its full mailbox holds back: what feeds it, its own cycle aside."""
    edges: dict[str, set[str]] = {routine.id: set() for routine in spec.routines}
    for link in spec.connections:
        if link.source in edges and link.target in edges:  # what comes from elsewhere may lack one
            edges[link.source].add(link.target)
    component = components(edges)
    found: dict[str, list[str]] = {routine.id: [] for routine in spec.routines}
    for source, targets in edges.items():
        for target in targets:
            if component[source] != component[target]:
                found[target].append(source)
    return {target: tuple(sorted(sources)) for target, sources in found.items()}


def components(edges: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Number the strongly connected components of a graph.

    Tarjan's algorithm (SIAM J. Comput. 1(2), 1972), without recursion: a flow may be a long chain.

    Args:
        edges: node → those that it leads to; every node is a key.

    Returns:
        Node → number of its component.
    """
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    found: dict[str, int] = {}
    stack: list[str] = []
    for root in edges:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        stack.append(root)
        path = [(root, iter(edges[root]))]
        while path:
            node, targets = path[-1]
            for target in targets:
                if target not in index:
                    index[target] = lowest[target] = len(index)
                    stack.append(target)
                    path.append((target, iter(edges[target])))
                    break
                if target not in found:
                    lowest[node] = min(lowest[node], index[target])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == index[node]:
                    _close(node, stack, found)
    return found


def _close(node: str, stack: list[str], found: dict[str, int]) -> None:
    """Everything on the stack down to a node is one component."""
    number = len(found)
    while True:
        member = stack.pop()
        found[member] = number
        if member == node:
            return
