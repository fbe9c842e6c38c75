"""Every reachable state of a few hosts and their network, by breadth-first search until nothing is new.

The network holds a set of messages. Each may arrive at any moment, any number of times, in any order, or be
lost: so it loses, repeats, delays and reorders. What is more than it holds is lost as it is sent, whichever
of it that may be. A state is one number (hosts, history, network), so that millions fit into memory.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from sojourn.runtime.wire.claims import Asking, Claims
from tests.simulation.carrying import News, Outcome
from tests.simulation.events import Events
from tests.simulation.host import Bounds, HostState, Shop, first_state
from tests.simulation.invariants import History, problem
from tests.simulation.machines import Machines
from tests.simulation.pools import Pool

HOST_BITS = 22
IN_VAIN = ": waits in vain"
"""After force, the hosts are taken to reach each other within the patience for that (see ``Contests``)."""

HISTORY_BITS = 10
HOST_MASK = (1 << HOST_BITS) - 1
HISTORY_MASK = (1 << HISTORY_BITS) - 1


class Move(NamedTuple):
    """What an event makes of a state, ready to be applied.

    Attributes:
        event: what happened.
        change: of the state's number (by exclusive or).
        sent: messages that leave, a bit for each.
        news: for the history.
        died: place of a host that dies with it; None for none.
    """

    event: str
    change: int
    sent: int = 0
    news: tuple[News, ...] = ()
    died: int | None = None


class Violation(NamedTuple):
    """A way to something that must not be.

    Attributes:
        problem: what is wrong at its end.
        way: the events that lead there.
    """

    problem: str
    way: list[str]


class Found(NamedTuple):
    """What an exploration found.

    Attributes:
        states: of the world.
        steps: from a state to another, or the same one.
        host_states: of one host.
        machine_states: of the machines.
        machine_steps: different steps that the machines took.
        depth: longest of the shortest ways to a state.
        violation: the shortest way to something that must not be; None if there is none.
        whole: whether the search ended because nothing was new.
    """

    states: int
    steps: int
    host_states: int
    machine_states: int
    machine_steps: int
    depth: int
    violation: Violation | None
    whole: bool


class World:
    """The state graph of some hosts.

    Args:
        bounds: what makes it finite.
        every_crash: whether crashes are gone through that come to the same as others.
    """

    def __init__(self, bounds: Bounds, *, every_crash: bool = False) -> None:
        self.bounds = bounds
        self.names = "abcd"[: bounds.hosts]
        self.shop = Shop(bounds, Machines(), Pool(), Pool())
        self.events = Events(self.shop, every_crash=every_crash)
        self._history_at = HOST_BITS * bounds.hosts
        self._network_at = self._history_at + HISTORY_BITS
        self._numbers: dict[HostState, int] = {}
        self._hosts: list[HostState] = []
        self._histories: list[History] = []
        self._history_numbers: dict[History, int] = {}
        self._own: dict[tuple[int, int], list[Move]] = {}
        self._begun: dict[tuple[int, int, int], list[Move]] = {}
        self._delivered: dict[tuple[int, int], list[Move]] = {}
        self._lost: dict[int, Move] = {}
        self._places: list[int] = []
        """For each message, the place of the host that it is for."""
        self._replayed = 0
        self._looked_at = 0
        self._of_this_run = [0] * bounds.hosts
        """For each host, its questions and their answers: they bear the number of its run, and die with it."""
        self._told: dict[tuple[int, tuple[News, ...]], int | str] = {}
        self._fitting: dict[tuple[int, int], list[int]] = {}
        self._problems: dict[int, str | None] = {}

    # --- numbers ----------------------------------------------------------------------------------

    def first(self) -> int:
        """Give the state in which the first host owns the job."""
        hosts = [first_state(name, self.names[0]) for name in self.names]
        state = self._history(History()) << self._history_at
        for place, host in enumerate(hosts):
            state |= self._host(host) << HOST_BITS * place
        return state

    def _host(self, host: HostState) -> int:
        number = self._numbers.get(host)
        if number is None:
            number = self._numbers[host] = len(self._hosts)
            assert number <= HOST_MASK
            self._hosts.append(host)
        return number

    def _history(self, history: History) -> int:
        number = self._history_numbers.get(history)
        if number is None:
            number = self._history_numbers[history] = len(self._histories)
            assert number < 1 << HISTORY_BITS
            self._histories.append(history)
        return number

    def hosts(self, state: int) -> list[HostState]:
        """Give the hosts of a state."""
        return [
            self._hosts[state >> HOST_BITS * place & HOST_MASK] for place in range(len(self.names))
        ]

    def history(self, state: int) -> History:
        """Give what really happened until a state."""
        return self._histories[state >> self._history_at & HISTORY_MASK]

    def network(self, state: int) -> int:
        """Give the messages that are on their way, a bit for each."""
        return state >> self._network_at

    def without_network(self, state: int) -> int:
        """Give the state in which everything on its way is lost."""
        return state & (1 << self._network_at) - 1

    def problem(self, state: int) -> str | None:
        """Say what is wrong with a state."""
        moment = self.without_network(state)
        found = self._problems.get(moment, "")
        if found == "":
            found = problem(self.hosts(state), self.history(state), self.shop)
            self._problems[moment] = found
        return found

    @property
    def host_states(self) -> int:
        """How many states of a host were reached."""
        return len(self._hosts)

    # --- what follows -----------------------------------------------------------------------------

    def _moves(self, place: int, host: int, outcomes: list[Outcome]) -> list[Move]:
        for number in range(self._looked_at, len(self.shop.wire)):
            envelope = self.shop.wire[number]
            self._places.append(self.names.index(envelope.to))
            if isinstance(envelope.message, (Asking, Claims)):
                asker = envelope.sender if isinstance(envelope.message, Asking) else envelope.to
                self._of_this_run[self.names.index(asker)] |= 1 << number
            if getattr(envelope.message, "m", "") in self.bounds.replayed:
                self._replayed |= 1 << number
        self._looked_at = len(self.shop.wire)
        return [
            Move(
                f"{self.names[place]}: {outcome.event}",
                (host ^ self._host(outcome.state)) << HOST_BITS * place,
                sum(1 << number for number in set(outcome.sent)), outcome.news,
                None if outcome.state.up else place,
            )
            for outcome in outcomes
        ]

    def own(self, place: int, host: int) -> list[Move]:
        """Give what a host may come to by itself."""
        found = self._own.get((place, host))
        if found is None:
            outcomes = self.events.own(self.names[place], self._hosts[host])
            found = self._own[(place, host)] = self._moves(place, host, outcomes)
        return found

    def begun(self, place: int, host: int, number: int) -> list[Move]:
        """Give what an operator who moves the job may bring a host to; ``number`` is that of the history."""
        found = self._begun.get((place, host, number))
        if found is None:
            history = self._histories[number]
            told = self._history(history._replace(moves=history.moves + 1))
            found = self._begun[(place, host, number)] = [
                move._replace(change=move.change ^ (number ^ told) << self._history_at)
                for other in self.names
                if other != self.names[place]
                for move in self._moves(
                    place, host,
                    self.events.begin(
                        self.names[place], self._hosts[host], other, f"m{history.moves + 1}"
                    ),
                )
            ]
        return found

    def _forced(self, state: int, place: int, host: int, number: int) -> list[Move]:
        """Give what an operator may do who says that every other host is gone for good."""
        others = [other for at, other in enumerate(self.hosts(state)) if at != place]
        if self._histories[number].forces >= self.bounds.forces or any(other.up for other in others):
            return []
        return self._moves(place, host, self.events.force(self.names[place], self._hosts[host]))

    def delivered(self, state: int, message: int) -> list[Move]:
        """Give what a message may bring its host to."""
        place = self._places[message]
        host = state >> HOST_BITS * place & HOST_MASK
        found = self._delivered.get((host, message))
        if found is None:
            outcomes = self.events.deliver(self._hosts[host], self.shop.wire[message])
            found = self._delivered[(host, message)] = self._moves(place, host, outcomes)
        return found

    def lost(self, message: int) -> Move:
        """Give the loss of a message."""
        found = self._lost.get(message)
        if found is None:
            envelope = self.shop.wire[message]
            found = self._lost[message] = Move(
                f"{type(envelope.message).__name__} to {envelope.to} is lost",
                1 << message + self._network_at,
            )
        return found

    def following(self, state: int) -> list[tuple[int | str, Move]]:
        """Give what may come next, and by which event: the state, or what is wrong with it."""
        found: list[tuple[int | str, Move]] = []
        number = state >> self._history_at & HISTORY_MASK
        network = state >> self._network_at
        may_begin = self._histories[number].moves < self.bounds.moves
        for place in range(len(self.names)):
            host = state >> HOST_BITS * place & HOST_MASK
            own = self.own(place, host)
            if self._histories[number].forces:
                own = [move for move in own if not move.event.endswith(IN_VAIN)]
            self._add(found, state, network, own)
            if may_begin:
                self._add(found, state, network, self.begun(place, host, number))
            if self.bounds.forces:
                self._add(found, state, network, self._forced(state, place, host, number))
        left = network & ~self._replayed
        while left:
            bit = left & -left
            left ^= bit
            message = bit.bit_length() - 1
            lost = self.lost(message)
            found.append((state ^ lost.change, lost))
            self._add(found, state, network, self.delivered(state, message), bit)
        left = network & self._replayed
        while left:
            bit = left & -left
            left ^= bit
            self._add(found, state, network, self.delivered(state, bit.bit_length() - 1))
        return found

    def apply(self, state: int, move: Move, received: int) -> int | str:
        """Apply one move in a network that holds whatever is sent; ``received`` is what it takes off it."""
        following = state ^ move.change
        if move.news:
            told = self._tell(following, move.news)
            if isinstance(told, str):
                return told
            following ^= told << self._history_at
        if received:
            following ^= received << self._network_at
        return following | move.sent << self._network_at

    def _add(
        self, found: list[tuple[int | str, Move]], state: int, network: int, moves: list[Move],
        bit: int = 0,
    ) -> None:
        """Apply moves; ``bit`` is the message that caused them, if one did."""
        for move in moves:
            _, change, sent, news, died = move
            following = state ^ change
            if died is not None:
                following &= ~(self._of_this_run[died] << self._network_at)
            if news:
                told = self._tell(following, news)
                if isinstance(told, str):
                    found.append((told, move))
                    continue
                following ^= told << self._history_at
            fresh = sent & ~network
            if fresh & self._replayed:
                following |= (fresh & self._replayed) << self._network_at
                fresh &= ~self._replayed
            if fresh:
                room = self.bounds.network - (network & ~self._replayed).bit_count()
                if fresh.bit_count() > room:
                    for some in self._fit(fresh, room):
                        found.append((following | some << self._network_at, move))
                    if bit:  # or it makes room as it arrives
                        following ^= bit << self._network_at
                        for some in self._fit(fresh, room + 1):
                            found.append((following | some << self._network_at, move))
                    continue
                following |= fresh << self._network_at
            found.append((following, move))

    def _tell(self, state: int, news: tuple[News, ...]) -> int | str:
        """Give how the number of the history changes (by exclusive or)."""
        number = state >> self._history_at & HISTORY_MASK
        found = self._told.get((number, news))
        if found is None:
            history: History | str = self._histories[number]
            for one in news:
                if isinstance(history, History):
                    history = history.told(one)
            found = history if isinstance(history, str) else self._history(history) ^ number
            self._told[(number, news)] = found
        return found

    def _fit(self, fresh: int, room: int) -> list[int]:
        """Give every choice of as many new messages as the network still takes."""
        found = self._fitting.get((fresh, room))
        if found is None:
            bits = [1 << place for place in range(fresh.bit_length()) if fresh >> place & 1]
            found = [sum(some) for some in combinations(bits, min(room, len(bits)))]
            self._fitting[(fresh, room)] = found
        return found


def explore(world: World, *, most: int = 1 << 62) -> tuple[Found, dict[int, int]]:
    """Go through every reachable state, nearest first.

    Args:
        world: what to go through.
        most: states after which the search gives up.

    Returns:
        What was found, and for each state the one from which it was reached first.
    """
    first = world.first()
    before: dict[int, int] = {first: first}
    frontier, depth, steps = [first], 0, 0
    violation: Violation | None = None
    while frontier and violation is None and len(before) < most:
        fresh: list[int] = []
        for state in frontier:
            after = world.following(state)
            steps += len(after)
            for following, move in after:
                if following in before:
                    continue
                if isinstance(following, str):
                    violation = Violation(following, [*way_to(world, before, state), move.event])
                    break
                before[following] = state
                fresh.append(following)
                wrong = world.problem(following)
                if wrong is not None:
                    violation = Violation(wrong, way_to(world, before, following))
                    break
            if violation is not None:
                break
        depth += bool(fresh)
        frontier = fresh
    machines = world.shop.machines
    found = Found(
        len(before), steps, world.host_states, len(machines), machines.steps, depth, violation,
        not frontier,
    )
    return found, before


def way_to(world: World, before: dict[int, int], state: int) -> list[str]:
    """Tell the events on the way to a state."""
    way: list[str] = []
    while before[state] != state:
        earlier = before[state]
        way.append(next(move.event for after, move in world.following(earlier) if after == state))
        state = earlier
    return way[::-1]
