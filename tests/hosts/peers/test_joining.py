"""Pairing: the joiner's connection and what becomes of it."""

from __future__ import annotations

import socket as sockets
import time

import msgspec
import pytest

from sojourn.hosts.peers.joining import PATIENCE
from sojourn.hosts.peers.links import PairRequested
from sojourn.hosts.peers.tokens import Token, make_invite, read_token
from sojourn.runtime.errors import AccessDenied, NoSupervisor, ProtocolViolation
from sojourn.runtime.job import PeerRow
from sojourn.runtime.wire.handoff import PreflightReady
from sojourn.runtime.wire.peer import Pair, Paired, PairRefused, PeerMessage
from tests.hosts.peers.meeting import Host, Joiner, both_connected, fresh_keys, hosts, poll


def invite(host: Host) -> Token:
    assert host.links.address is not None
    text, row = make_invite(host.name, host.links.address, host.keys.public, time.time() + 60)
    host.links.add_invite(row)
    return read_token(text)


def request(host: Host) -> PairRequested | None:
    return next((event for event in host.events if isinstance(event, PairRequested)), None)


def paired(host: Host) -> Paired:
    return Paired(host.name, host.keys.public, host.links.address, f"store of {host.name}")


@pytest.mark.parametrize("listens", [True, False])
def test_a_join_makes_two_hosts_that_can_speak_both_ways(listens: bool) -> None:
    with hosts(Host("a"), Host("b", listen="tcp://127.0.0.1:0" if listens else None)) as (a, b):
        token = invite(a)
        joiner = Joiner(b, token)
        event = poll((a, b, joiner), lambda: request(a))
        assert event is not None
        assert event.pair == Pair("b", b.keys.public, b.links.address, "store")
        a.links.add_peer(PeerRow("b", event.pair.public_key, event.pair.address, event.pair.store_id, 0.0))
        a.links.answer_pair(event.route, paired(a))
        poll((a, b, joiner), lambda: joiner.outcome)
        assert joiner.outcome == paired(a)
        joiner.joining.close()
        b.links.add_peer(a.row())
        poll((a, b), lambda: both_connected(a, b))


def outcome_of(answer: PeerMessage) -> object:
    """What a join ends with if the other host answers this."""
    with hosts(Host("a"), Host("b")) as (a, b):
        joiner = Joiner(b, invite(a))
        event = poll((a, b, joiner), lambda: request(a))
        assert event is not None
        if isinstance(answer, Paired) and answer.public_key == "(its own)":
            answer.public_key = a.keys.public
        a.links.answer_pair(event.route, answer)
        poll((a, b, joiner), lambda: joiner.outcome)
        joiner.joining.close()
        return joiner.outcome


def test_a_refusal_is_told_in_the_words_of_the_other_host() -> None:
    outcome = outcome_of(PairRefused("AccessDenied", "this invitation was used already"))
    assert isinstance(outcome, AccessDenied)
    assert outcome.message == "this invitation was used already"


def test_a_host_that_answers_with_another_key_than_its_token_is_not_paired_with() -> None:
    outcome = outcome_of(Paired("a", fresh_keys().public, None, "store"))
    assert isinstance(outcome, AccessDenied)


def test_a_host_cannot_take_the_place_of_another_peer_by_its_answer() -> None:
    outcome = outcome_of(Paired("some-other-peer", "(its own)", None, "store"))
    assert isinstance(outcome, AccessDenied)
    assert "calls itself 'some-other-peer'" in outcome.message


@pytest.mark.parametrize(
    "answer",
    [PreflightReady("m"), Paired("a", "(its own)", "ipc:///tmp/x", "s"), Paired("a", "no key", None, "s")],
    ids=["another message", "no address", "no key"],
)
def test_an_answer_that_makes_no_sense_ends_the_join(answer: PeerMessage) -> None:
    assert isinstance(outcome_of(answer), ProtocolViolation)


def test_a_token_with_a_wrong_secret_is_refused_by_both_sides() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        token = msgspec.structs.replace(invite(a), secret=fresh_keys().secret)
        joiner = Joiner(b, token)
        poll((a, b, joiner), lambda: joiner.outcome)
        joiner.joining.close()
        assert isinstance(joiner.outcome, AccessDenied)
        assert "ask for a new one with `sojourn invite`" in joiner.outcome.message
        assert len(a.told("unknown key")) == 1
        assert not a.events


def test_a_token_of_a_host_that_lost_its_key_is_refused() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        token = msgspec.structs.replace(invite(a), server_key=fresh_keys().public)
        joiner = Joiner(b, token)
        joiner.skipped_seconds = PATIENCE + 1
        poll((a, b, joiner), lambda: joiner.outcome)
        joiner.joining.close()
        assert isinstance(joiner.outcome, (AccessDenied, NoSupervisor))
        assert not a.events


def test_a_host_that_is_away_is_given_up_after_a_time() -> None:
    with sockets.socket() as nobody, hosts(Host("b")) as (b,):
        nobody.bind(("127.0.0.1", 0))  # and never listens
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        joiner = Joiner(b, Token("a", address, fresh_keys().public, fresh_keys().secret, 0.0))
        joiner.look(time.monotonic())
        assert joiner.outcome is None
        joiner.skipped_seconds = PATIENCE + 1
        joiner.look(time.monotonic())
        joiner.joining.close()
        assert isinstance(joiner.outcome, NoSupervisor)
        assert address in joiner.outcome.message


def test_a_join_outlives_a_restart_of_the_other_host() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        assert a.links.address is not None
        text, row = make_invite("a", a.links.address, a.keys.public, time.time() + 60)
        a.links.add_invite(row)
        joiner = Joiner(b, read_token(text))
        poll((a, b, joiner), lambda: request(a))  # received, not answered: then a dies
        a.restart()
        a.links.add_invite(row)
        event = poll((a, b, joiner), lambda: request(a))
        assert event is not None
        a.links.answer_pair(event.route, paired(a))
        poll((a, b, joiner), lambda: joiner.outcome)
        joiner.joining.close()
        assert joiner.outcome == paired(a)
