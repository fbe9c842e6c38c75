"""One row of a state machine's table: the form that diagrams are drawn from."""

from __future__ import annotations

import msgspec


class Transition(msgspec.Struct, frozen=True):
    """A transition.

    Attributes:
        source: state before.
        event: what happens.
        target: state after.
        note: a few words for the diagram's reader.
    """

    source: str
    event: str
    target: str
    note: str = ""
