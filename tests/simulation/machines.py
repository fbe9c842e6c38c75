"""Steps of the shipped machines, each taken once: the same state and happening give the same step.

Time is abstract: a timer that is armed may fire at any moment. A machine lives at time 0; ``Tick`` comes at
0, where whatever is to be repeated is due and no deadline has passed, or at ``LATE``, where both are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.source import Patience, SourceHandoff
from sojourn.runtime.handoff.target import TargetHandoff
from tests.simulation.pools import Pool, clone, name_of

Machine = SourceHandoff | TargetHandoff
LATE = 100.0
PATIENCE = Patience(preflight=1.0, offer=1.0, commit=1.0, started=1.0, resend=0.0, longest=0.0)


class Machines:
    """The states of machines that were reached, by number."""

    def __init__(self) -> None:
        self._pool: Pool[Machine] = Pool()
        self._steps: dict[Hashable, tuple[int, list[fx.Effect]]] = {}

    def __getitem__(self, number: int) -> Machine:
        return self._pool[number]

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def steps(self) -> int:
        """How many different steps were taken."""
        return len(self._steps)

    def put(self, machine: Machine) -> int:
        """Give the number of a state."""
        return self._pool.put(machine)

    def step(
        self, number: int, happening: fx.Happening | None, *, late: bool = False
    ) -> tuple[int, list[fx.Effect]]:
        """Let something happen to a machine; gives its next state and what it asks for."""
        now = LATE if late else 0.0
        known = (number, name_of(happening), late)
        # The source is begun with None; the target has no such step.
        return self._once(known, number, lambda machine: machine.step(happening, now))  # type: ignore[arg-type]

    def call(
        self, number: int, act: Callable[[Machine], list[fx.Effect]], name: Hashable
    ) -> tuple[int, list[fx.Effect]]:
        """The same for another method; ``name`` says which, with its arguments."""
        return self._once((number, name), number, act)

    def _once(
        self, known: Hashable, number: int, act: Callable[[Machine], list[fx.Effect]]
    ) -> tuple[int, list[fx.Effect]]:
        found = self._steps.get(known)
        if found is None:
            machine = clone(self._pool[number])
            effects = act(machine)
            if machine.wake_at is not None and machine.wake_at >= LATE:
                machine.wake_at -= LATE
            found = self._steps[known] = (self._pool.put(machine), effects)
        return found
