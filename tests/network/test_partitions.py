"""A link that is cut, both ways or one way, during each phase of a hand-off, and heals again.

Each phase is held open without touching Sojourn: PRECOPY because READY can't come back, FREEZING because a
turn is in flight until it is told to end, FROZEN and RELEASED because the link is slow. The link stays
cut until both supervisors have noticed it by their own timers (and at RELEASED until whoever asked is
told that the hand-off is in doubt); in the soak for 20 s at least.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.hosting import Host, connected, read_effects
from tests.integration.judging import judge, the_owner, wait_for_owner
from tests.network.link_model import CLEAN, CUT
from tests.network.moving import (
    PATIENCE,
    SLOW,
    exit_code,
    finish,
    hold,
    move,
    noticed,
    said,
    until_moving,
    until_said,
)
from tests.network.network import Network
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("network")

MESSAGES = 30
PARTITION = 20.0
"""Seconds that a link is cut in the soak."""

WAYS = {
    "both-ways": (("a", "b"), ("b", "a")),
    "towards-target": (("a", "b"),),
    "towards-source": (("b", "a"),),
}


class Scene:
    """Two hosts, a job that moves, and the link between them.

    Args:
        network: that they are on.
        pair: the hosts, source first.
        way: which directions are cut.
        folder: for a file that ends a turn.
    """

    def __init__(self, network: Network, pair: tuple[Host, Host], way: str, folder: Path) -> None:
        self.network = network
        self.source, self.target = pair
        self.flag = folder / "end-the-turn"
        self._way = WAYS[way]

    def start(self) -> subprocess.Popen[str]:
        """Begin to move the job."""
        return self.source.start("migrate", "job", "--to", "b", "--grace", "100")

    def cut(self) -> None:
        """Cut the link in the way that this scene is about."""
        for source, target in self._way:
            self.network.set_one_way(source, target, CUT)

    def submit(self) -> None:
        """Start a job that works for a while, doesn't end by itself, and has no long turns."""
        self.source.submit("load:flaky", "job", n=MESSAGES, gated=True)
        self.source.wait("job", "work.succeeded >= 2")

    # --- to a phase -------------------------------------------------------------------------------

    def precopy(self) -> subprocess.Popen[str]:
        """The link is slow: the target hears of the job long before the copy is done; it runs on."""
        self.submit()
        self.network.set("a", "b", SLOW)
        mover = self.start()
        until_said(self.target, "hand-off offered", job="job")
        self.cut()
        assert self.source.show("job")["status"] != "moving"
        return mover

    def freezing(self) -> subprocess.Popen[str]:
        """A turn is in flight until its flag is there."""
        self.source.submit("load:held", "job", flag=str(self.flag))
        wait_until(lambda: read_effects(self.source.effects), PATIENCE, "the turn to begin")
        mover = self.start()
        until_moving(self.source)
        self.cut()
        return mover

    def frozen(self) -> subprocess.Popen[str]:
        """The link is slow, so OFFER and PREPARED are on their way for a while."""
        self.submit()
        self.network.set("a", "b", SLOW)
        mover = self.start()
        until_moving(self.source)
        self.cut()
        assert not said(self.source, "job released"), "the machine was too slow to cut the link in FROZEN"
        return mover

    def released(self) -> subprocess.Popen[str]:
        """COMMIT is on its way for a while, and is swallowed; or ACK is."""
        self.submit()
        self.network.set("a", "b", SLOW)
        mover = self.start()
        until_said(self.source, "job released")
        if ("a", "b") in self._way:
            self.cut()
            late = "the machine was too slow to cut the link in RELEASED"
            assert not said(self.target, "job owned"), late
        else:
            # TCP may hold COMMIT back until it hears from the other side: it has to have come.
            until_said(self.target, "job owned")
            self.cut()
        return mover


PHASES: dict[str, Callable[[Scene], subprocess.Popen[str]]] = {
    "precopy": Scene.precopy, "freezing": Scene.freezing, "frozen": Scene.frozen,
    "released": Scene.released,
}


@pytest.mark.parametrize(
    ("phase", "way", "seconds"),
    [
        *((phase, "both-ways", 0.0) for phase in PHASES),
        ("frozen", "towards-source", 0.0),
        ("released", "towards-source", 0.0),
        *(
            pytest.param(phase, way, PARTITION, marks=pytest.mark.soak)
            for phase in PHASES for way in WAYS
        ),
    ],
)
def test_a_partition_ends_with_one_owner_and_nothing_lost(
    network: Network, pair: tuple[Host, Host], tmp_path: Path, phase: str, way: str, seconds: float
) -> None:
    a, b = pair
    scene = Scene(network, pair, way, tmp_path)
    logged = len(a.log()), len(b.log())
    mover = PHASES[phase](scene)
    since = time.monotonic()
    noticed(a, b, logged[0])
    noticed(b, a, logged[1])
    hold(since, seconds)
    if phase == "released":
        code, complaint = exit_code(mover)
        assert code == 8, complaint
        assert a.show("job")["status"] == "moving"
        assert said(b, "job owned") == (way == "towards-source")
    elif phase == "precopy":
        a.wait("job", f"work.succeeded >= {MESSAGES}")  # it worked on, cut off as it was
    else:
        assert mover.poll() is None
        assert a.show("job")["status"] == "moving"
    network.set("a", "b", CLEAN)
    scene.flag.touch()
    if phase != "released":
        assert exit_code(mover)[0] == 0
    assert wait_for_owner(pair, "job") is b
    if phase != "freezing":
        finish(b)
    final = judge(pair, "job")
    assert (final["host"], final["epoch"]) == ("b", 2)
    if phase != "freezing":
        assert sorted(final["result"]["got"]) == list(range(MESSAGES))


def test_a_host_that_restarts_behind_a_cut_link_is_found_again(
    network: Network, pair: tuple[Host, Host]
) -> None:
    """Its last words are lost, so that the other side's connection stays half-open."""
    a, b = pair
    a.submit("load:flaky", "job", n=MESSAGES, gated=True)
    a.wait("job", "work.succeeded >= 2")
    network.cut("a", "b")
    b.kill()
    b.up()
    network.set("a", "b", CLEAN)
    wait_until(lambda: connected(a) and connected(b), PATIENCE, "the hosts to be connected")
    move(a, "job", b, [a, b])
    finish(b)
    judge(pair, "job")
    assert the_owner(pair, "job") is b
