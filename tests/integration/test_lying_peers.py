"""A paired host that lies: it repeats, reorders and makes up messages of hand-offs, its own and others'."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest

from sojourn.runtime.errors import HandoffAborted, Refused
from sojourn.runtime.export import read_export
from sojourn.runtime.handoff.crowding import MOST_OPEN
from sojourn.runtime.job import JobImage
from sojourn.runtime.wire.claims import Asking, Claim, Claims
from sojourn.runtime.wire.client import Jobs, Progress, Reply, Status, encode
from sojourn.runtime.wire.handoff import (
    Abort,
    Chunk,
    Commit,
    HandoffRefused,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Unknown,
)
from sojourn.runtime.wire.peer import Hello, Known, PeerMessage, RelayAnswer, RelayRequest
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, Json, check_effects, pair_hosts, read_effects
from tests.integration.judging import check_history, wait_for_owner
from tests.integration.lying import Liar, Names, lies, lying
from tests.integration.moving import begin_move
from tests.waiting import wait_until

MEGABYTE = 1024 * 1024
WORK = 90
AT_ONCE = 40
"""Lies between two looks at whether the host still serves."""


class Three:
    """Two honest hosts and one that lies, each paired with the others; the liar is down.

    Attributes:
        image: of a job that the liar has.
    """

    def __init__(self, a: Host, b: Host, liar: Host, folder: Path) -> None:
        self.a, self.b, self.liar = a, b, liar
        for host in (a, b, liar):
            host.launch()
        for host in (a, b, liar):
            host.ready()
        pair_hosts(a, b)
        pair_hosts(a, liar)
        pair_hosts(b, liar)
        liar.submit("points:asking", "mine")
        liar.wait("mine", "status == 'paused'")
        file = folder / "mine.json"
        liar.do("export", "mine", str(file))
        self.image: JobImage = read_export(file.read_bytes()).image
        assert liar.terminate() == 0


@pytest.fixture
def three(make_host: MakeHost, tmp_path: Path) -> Three:
    """Two honest hosts and a liar."""
    return Three(make_host("a"), make_host("b"), make_host("liar"), tmp_path)


def megabytes(host: Host) -> float:
    """Memory of a host's supervisor."""
    return float(psutil.Process(host.pid).memory_info().rss) / MEGABYTE


def hand_offs_of(host: Host) -> list[str]:
    """Ids of hand-offs that a host has begun or was offered, by its log."""
    return [entry["m"] for entry in host.log() if "m" in entry]


def tell(liars: list[Liar], stream: Iterator[PeerMessage], count: int) -> None:
    """Send each host so many lies, and hear what it says to them."""
    for liar in liars:
        for message in islice(stream, count):
            liar.say(message)
        liar.listen()


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 40))])
def test_replayed_reordered_and_made_up_messages_own_nothing_twice(
    three: Three, effects: Path, seed: int
) -> None:
    a, b = three.a, three.b
    names = Names()
    before = [megabytes(host) for host in (a, b)]
    with lying(three.liar, a) as to_a, lying(three.liar, b) as to_b:
        recorded = to_b.hand_over(three.image, str(uuid.uuid4()))
        b.migrate("mine", a)
        a.submit("load:flaky", "theirs", n=WORK, gated=True)
        names.jobs.append(("theirs", a.show("theirs")["instance"]))
        names.stores += [to_a.store_id, *(host.ask(Status())["store_id"] for host in (a, b))]
        stream = lies(seed, names, recorded, three.image.flow)
        source, target = a, b
        for _ in range(4):
            names.ms += [*hand_offs_of(a), *hand_offs_of(b)]
            moved = begin_move(source, "theirs", target)
            while not moved.done():
                tell([to_a, to_b], stream, AT_ONCE)
                for host in (a, b):
                    host.ask(Jobs())
            try:
                moved.result()
                source, target = target, source
            except (HandoffAborted, Refused):
                assert wait_for_owner((a, b), "theirs") is source
        assert len(to_a.heard) + len(to_b.heard) > 0
    owner = wait_for_owner((a, b), "theirs")
    owner.do("resume", "theirs", "--input", '{"end": true}')
    final = owner.wait("theirs")
    assert sorted(final["result"]["got"]) == list(range(WORK))
    check_history(final)
    mine = wait_for_owner((a, b), "mine")
    if mine.show("mine")["status"] == "blocked":
        # Whoever has had a job is believed so far that it stops where it is: two owners, by its word.
        mine.do("retry", "mine")
    mine.do("resume", "mine", "--input", '{"approved": true}')
    ended: Json = mine.wait("mine")
    assert (final["status"], ended["status"]) == ("completed", "completed")
    check_effects(read_effects(effects), final, ended)
    for host, megabytes_before in zip((a, b), before, strict=True):
        assert host.running
        assert megabytes(host) < megabytes_before + 150


def test_a_host_that_never_had_a_job_can_neither_take_nor_stop_it(three: Three) -> None:
    a, b = three.a, three.b
    a.submit("load:flaky", "theirs", n=5, gated=True)
    a.migrate("theirs", b)
    b.wait("theirs", "fan.succeeded >= 1")
    document = b.show("theirs")
    instance, epoch = document["instance"], document["epoch"]
    [m] = set(hand_offs_of(a))
    with lying(three.liar, b) as to_b, lying(three.liar, a) as to_a:
        for holding in ("owned", "released", "gone"):
            for number in (0, 1, *(part << 32 for part in range(1, 4))):
                for claimed in (epoch, 99):
                    to_b.say(Claims(number, [Claim("theirs", instance, claimed, holding, "liar")]))
        to_b.say(
            Preflight("mine", "theirs", instance, epoch, to_b.store_id, three.image.flow, "", [], 0)
        )
        assert to_b.hear(HandoffRefused).kind == "TwoOwners"
        to_a.say(Query(m, "theirs", instance, 1, to_a.store_id))
        to_a.say(Prepared(m, "digest", to_a.store_id, to_a.store_id))
        to_a.say(Asking(5, ["theirs"]))
        to_a.hear(Claims, lambda claims: claims.number == 5)
        assert not [heard for heard in to_a.heard if isinstance(heard, Commit)]
        for message in (Commit(m, "theirs", instance, 1), Abort(m, "no"), Chunk(m, 0, b"")):
            to_b.say(message)
        to_b.say(Commit("never heard of", "nobody's", instance, 1))
        to_b.hear(Unknown)
    assert b.show("theirs")["status"] in ("running", "paused")
    assert b.show("theirs")["epoch"] == epoch
    b.do("resume", "theirs", "--input", '{"end": true}')
    assert sorted(b.wait("theirs")["result"]["got"]) == list(range(5))


def test_a_host_that_makes_up_runs_of_another_does_not_stop_it(three: Three) -> None:
    a = three.a
    store: str = a.ask(Status())["store_id"]
    with lying(three.liar, a) as liar:
        [hello] = [heard for heard in liar.heard if isinstance(heard, Hello)]
        for run in ("", "made up", "0123456789ab." + "0" * 32, hello.run, "ä"):
            liar.greet(Known(store, hello.incarnation + 1, run))
        liar.greet(Known(store, hello.incarnation, "another run"))
    a.ask(Jobs())
    assert a.running
    assert a.ask(Status())["store_id"] == store


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["show", "mine"], Reply(1, b"[1]")),
        (["wait", "mine"], Reply(1, b"{}")),
        (["wait", "mine"], Reply(1, b'{"jobs": 1, "held": true}')),
        (["logs", "mine", "-f"], Progress(1, b'{"lines": [{"seq": -1}]}')),
    ],
    ids=["no object", "no jobs", "jobs that are none", "lines that are none"],
)
def test_an_answer_that_is_none_is_told_and_ends_no_host(
    three: Three, command: list[str], answer: Reply | Progress
) -> None:
    with lying(three.liar, three.a) as liar:
        asked = three.a.start(*command, "--host", "liar")
        relay = liar.hear(RelayRequest).relay
        liar.say(RelayAnswer(relay, encode(answer)))
        _, said = asked.communicate(timeout=60)
    assert "what host 'liar' answered is no answer" in said
    assert asked.returncode != 0
    three.a.ask(Jobs())


def test_hand_offs_that_are_begun_and_never_ended_are_bounded(three: Three) -> None:
    a = three.a
    head, flow = three.image.head, three.image.flow
    before = megabytes(a)
    with lying(three.liar, a) as liar:
        offers = [
            Preflight(f"m{number}", f"job-{number}", head.instance, 1, liar.store_id, flow, "", [], 0)
            for number in range(MOST_OPEN + 100)
        ]
        for offer in offers:
            liar.say(offer)
        wait_until(lambda: len(refused(liar)) >= 100, 20.0, "the last hundred to be refused")
        assert len(refused(liar)) == 100
        assert "open at host 'a' already" in refused(liar)[0].message
        for offer in offers[:MOST_OPEN]:
            liar.say(Abort(offer.m, "enough"))
        liar.say(Preflight("after", "job-after", head.instance, 1, liar.store_id, flow, "", [], 0))
        liar.hear(PreflightReady, lambda ready: ready.m == "after")
    assert megabytes(a) < before + 100
    a.submit("points:asking", "own")
    assert a.wait("own", "status == 'paused'")["status"] == "paused"


def refused(liar: Liar) -> list[HandoffRefused]:
    """What a liar was refused so far."""
    liar.listen()
    return [message for message in liar.heard if isinstance(message, HandoffRefused)]
