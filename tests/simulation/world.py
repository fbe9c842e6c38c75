"""A few hosts, what is on its way between them, and what may come next: states of the world as numbers.

The network holds a set of messages. Each may arrive at any moment, any number of times, in any order, or be
lost: so it loses, repeats, delays and reorders. What is more than it holds is lost as it is sent, whichever
of it that may be. Where there is no bound, it holds everything that was ever sent: to be lost is to not
arrive. A state is one number (hosts, history, network), so that millions fit into memory.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from sojourn.runtime.wire.claims import Asking, Claims
from tests.simulation.carrying import News, Outcome
from tests.simulation.events import Events
from tests.simulation.host import (
    EARLIER_RUN,
    THIS_RUN,
    Bounds,
    Envelope,
    HostState,
    Shop,
    first_state,
)
from tests.simulation.invariants import History, problem
from tests.simulation.machines import Machines
from tests.simulation.pools import Pool
from tests.simulation.receiving import Receiving

HOST_BITS = 22
HISTORY_BITS = 10
HOST_MASK = (1 << HOST_BITS) - 1
HISTORY_MASK = (1 << HISTORY_BITS) - 1

IN_VAIN = ": waits in vain"
"""After force, the hosts are taken to reach each other within the patience for that (see ``Contests``)."""


class Move(NamedTuple):
    """What an event makes of a state, ready to be applied.

    Attributes:
        event: what happened.
        change: of hosts and history (by exclusive or).
        sent: messages that leave, a bit for each.
        news: for the history.
        died: place of a host that dies with it; None for none.
    """

    event: str
    change: int
    sent: int = 0
    news: tuple[News, ...] = ()
    died: int | None = None


class World:
    """The state graph of some hosts.

    Args:
        bounds: what makes it finite.
        every_crash: whether crashes are gone through that come to the same as others.
    """

    def __init__(self, bounds: Bounds, *, every_crash: bool = False) -> None:
        self.bounds = bounds
        self.names = "abcd"[: bounds.hosts]
        self.shop = Shop(bounds, self.names, Machines(), Pool(), Pool())
        self._events = Events(self.shop, every_crash=every_crash)
        self._receiving = Receiving(self.shop, every_crash=every_crash)
        self._history_at = HOST_BITS * bounds.hosts
        self._network_at = self._history_at + HISTORY_BITS
        self._moment = (1 << self._network_at) - 1
        """Of a state's number, all but the network."""
        self._hosts: list[HostState] = []
        self._host_numbers: dict[HostState, int] = {}
        self._histories: list[History] = []
        self._history_numbers: dict[History, int] = {}
        self._own: dict[tuple[int, int], list[Move]] = {}
        self._begun: dict[tuple[int, int, int], list[Move]] = {}
        self._delivered: dict[tuple[int, int], list[Move]] = {}
        self._told: dict[tuple[int, tuple[News, ...]], int | str] = {}
        self._fitting: dict[tuple[int, int], list[int]] = {}
        self._problems: dict[int, str | None] = {}
        self._places: list[int] = []
        """For each message, the place of the host that it is for."""
        self._outlived: list[dict[int, int]] = [{} for _ in self.names]
        """For each host, its questions and their answers: what becomes of them when its run ends."""
        self._of_this_run = [0 for _ in self.names]
        """The same, a bit for each."""

    # --- states -----------------------------------------------------------------------------------

    def first(self) -> int:
        """Give the state in which the first host owns the job."""
        state = self._history(History()) << self._history_at
        for place, name in enumerate(self.names):
            state |= self._host(first_state(name, self.names[0])) << HOST_BITS * place
        return state

    def hosts(self, state: int) -> list[HostState]:
        """Give the hosts of a state."""
        return [self._hosts[self.host(state, place)] for place in range(len(self.names))]

    def host(self, state: int, place: int) -> int:
        """Give the number of one host's state."""
        return state >> HOST_BITS * place & HOST_MASK

    def history(self, state: int) -> History:
        """Give what really happened until a state."""
        return self._histories[state >> self._history_at & HISTORY_MASK]

    def network(self, state: int) -> int:
        """Give the messages that are on their way, a bit for each."""
        return state >> self._network_at

    def with_sent(self, state: int, sent: int) -> int:
        """Give a state with more messages on their way."""
        return state | sent << self._network_at

    def problem(self, state: int) -> str | None:
        """Say what is wrong with a state; None if nothing is."""
        moment = state & self._moment
        found = self._problems.get(moment, "")
        if found == "":
            found = problem(self.hosts(state), self.history(state), self.shop)
            self._problems[moment] = found
        return found

    @property
    def highest_epoch(self) -> int:
        """Under which epochs the job was owned in states that were reached, at most."""
        return max(history.epoch for history in self._histories)

    @property
    def host_states(self) -> int:
        """How many states of a host were reached."""
        return len(self._hosts)

    def _host(self, host: HostState) -> int:
        number = self._host_numbers.setdefault(host, len(self._hosts))
        if number == len(self._hosts):
            assert number <= HOST_MASK
            self._hosts.append(host)
        return number

    def _history(self, history: History) -> int:
        number = self._history_numbers.setdefault(history, len(self._histories))
        if number == len(self._histories):
            assert number <= HISTORY_MASK
            self._histories.append(history)
        return number

    # --- moves, each worked out once -----------------------------------------------------------------

    def own(self, place: int, host: int) -> list[Move]:
        """Give what a host may come to by itself."""
        found = self._own.get((place, host))
        if found is None:
            outcomes = self._events.own(self.names[place], self._hosts[host])
            found = self._own[(place, host)] = self._moves(place, host, outcomes)
        return found

    def delivered(self, state: int, message: int) -> list[Move]:
        """Give what a message may bring its host to."""
        place = self._places[message]
        host = self.host(state, place)
        found = self._delivered.get((host, message))
        if found is None:
            outcomes = self._receiving.deliver(self._hosts[host], self.shop.wire[message])
            found = self._delivered[(host, message)] = self._moves(place, host, outcomes)
        return found

    def _begun_by(self, place: int, host: int, number: int) -> list[Move]:
        """Give what an operator who moves the job may bring a host to; ``number``: of the history."""
        found = self._begun.get((place, host, number))
        if found is None:
            name, history = self.names[place], self._histories[number]
            told = self._history(history._replace(moves=history.moves + 1))
            found = self._begun[(place, host, number)] = [
                move._replace(change=move.change ^ (number ^ told) << self._history_at)
                for to in self.names
                if to != name
                for move in self._moves(
                    place, host,
                    self._events.begin(name, self._hosts[host], to, f"m{history.moves + 1}"),
                )
            ]
        return found

    def _forced(self, state: int, place: int, number: int) -> list[Move]:
        """Give what an operator may do who says that every other host is gone for good."""
        others = [other for at, other in enumerate(self.hosts(state)) if at != place]
        if self._histories[number].forces >= self.bounds.forces or any(other.up for other in others):
            return []
        host = self.host(state, place)
        return self._moves(place, host, self._events.force(self.names[place], self._hosts[host]))

    def _moves(self, place: int, host: int, outcomes: list[Outcome]) -> list[Move]:
        self._look_at_wire()
        return [
            Move(
                f"{self.names[place]}: {outcome.event}",
                (host ^ self._host(outcome.state)) << HOST_BITS * place,
                sum(1 << number for number in set(outcome.sent)), outcome.news,
                None if outcome.state.up else place,
            )
            for outcome in outcomes
        ]

    def _look_at_wire(self) -> None:
        """Take in what messages are new since the last time."""
        wire = self.shop.wire
        while len(self._places) < len(wire):
            number = len(self._places)
            to, sender, message = wire[number]
            self._places.append(self.names.index(to))
            if isinstance(message, (Asking, Claims)) and message.number == THIS_RUN:
                asker = sender if isinstance(message, Asking) else to
                later = wire.put(Envelope(to, sender, _of_an_earlier_run(message)))
                self._outlived[self.names.index(asker)][number] = later
                self._of_this_run[self.names.index(asker)] |= 1 << number

    # --- what follows -----------------------------------------------------------------------------

    def following(self, state: int) -> list[tuple[int | str, str]]:
        """Give what may come next: the state, or what is wrong with it; and by which event."""
        found: list[tuple[int | str, str]] = []
        moment, network = state & self._moment, state >> self._network_at
        number = state >> self._history_at & HISTORY_MASK
        history = self._histories[number]
        for place in range(len(self.names)):
            host = self.host(state, place)
            own = self.own(place, host)
            if history.forces:
                own = [move for move in own if not move.event.endswith(IN_VAIN)]
            self._add(found, moment, network, own)
            if history.moves < self.bounds.moves:
                self._add(found, moment, network, self._begun_by(place, host, number))
            if self.bounds.forces:
                self._add(found, moment, network, self._forced(state, place, number))
        left = network
        while left:
            bit = left & -left
            left ^= bit
            message = bit.bit_length() - 1
            self._add(found, moment, network, self.delivered(state, message), bit)
            if self.bounds.network is not None:
                found.append((moment | (network ^ bit) << self._network_at, "a message is lost"))
        return found

    def apply(self, state: int, move: Move, received: int) -> int | str:
        """Apply one move in a network that holds whatever is sent; ``received`` is what it takes off it."""
        moment, network = state & self._moment ^ move.change, state >> self._network_at & ~received
        if move.news:
            told = self._tell(moment, move.news)
            if isinstance(told, str):
                return told
            moment ^= told
        return moment | (network | move.sent) << self._network_at

    def _add(
        self, found: list[tuple[int | str, str]], moment: int, network: int, moves: list[Move],
        bit: int = 0,
    ) -> None:
        """Apply moves; ``bit`` is the message that caused them, if one did."""
        at, most = self._network_at, self.bounds.network
        for event, change, sent, news, died in moves:
            after, on_its_way = moment ^ change, network
            if news:
                told = self._tell(after, news)
                if isinstance(told, str):
                    found.append((told, event))
                    continue
                after ^= told
            if died is not None and (network | sent) & self._of_this_run[died]:
                on_its_way, sent = self._outlive(on_its_way, died), self._outlive(sent, died)
            fresh = sent & ~on_its_way
            if not fresh or most is None or (on_its_way | fresh).bit_count() <= most:
                found.append((after | (on_its_way | fresh) << at, event))
                continue
            room = most - on_its_way.bit_count()
            found += [(after | (on_its_way | some) << at, event) for some in self._fit(fresh, room)]
            if bit & on_its_way:  # or it makes room as it arrives
                found += [
                    (after | (on_its_way ^ bit | some) << at, event)
                    for some in self._fit(fresh, room + 1)
                ]

    def _outlive(self, network: int, died: int) -> int:
        """Give what is on its way when a host has died: to the next run, answers to this one say less."""
        for number, later in self._outlived[died].items():
            if network >> number & 1:
                network = network ^ 1 << number | 1 << later
        return network

    def _tell(self, moment: int, news: tuple[News, ...]) -> int | str:
        """Give how the history changes (by exclusive or), or what must not happen."""
        number = moment >> self._history_at & HISTORY_MASK
        found = self._told.get((number, news))
        if found is None:
            history: History | str = self._histories[number]
            for one in news:
                if isinstance(history, History):
                    history = history.told(one)
            if isinstance(history, History):
                found = (self._history(history) ^ number) << self._history_at
            else:
                found = history
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


def _of_an_earlier_run(message: Asking | Claims) -> Asking | Claims:
    if isinstance(message, Asking):
        return Asking(EARLIER_RUN, message.jobs)
    return Claims(EARLIER_RUN, message.claims)
