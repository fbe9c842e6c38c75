"""The network itself: its faults take effect, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.network import proof
from tests.network.link_model import CLEAN, CUT
from tests.network.namespaces import PREFIX, existing, sweep
from tests.network.network import ROOT, Network
from tests.network.probe import Measured
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("network")


def test_every_fault_is_measured_at_the_start(
    proven: tuple[Network, dict[str, str]]
) -> None:
    _, shown = proven
    assert list(shown) == ["clean", "loss", "delay", "reordering", "black hole", "half-open"]
    print("\n".join(f"{fault}: {measured}" for fault, measured in shown.items()))


UNMOVED: dict[str, Callable[[Measured], str]] = {
    "loss": lambda measured: proof.check_loss(measured, proof.LOSSY),
    "delay": lambda measured: proof.check_delay(measured, proof.LATENT),
    "reordering": lambda measured: proof.check_reordering(measured, proof.SHUFFLED),
    "black hole": proof.check_silence,
}


@pytest.mark.parametrize("fault", UNMOVED)
def test_a_fault_without_effect_is_found_out(network: Network, fault: str) -> None:
    clean = network.probe("a", "b", proof.PINGS)
    with pytest.raises(AssertionError):
        UNMOVED[fault](clean)


def test_a_cut_link_leaves_the_others_alone(network: Network) -> None:
    network.cut("a", "b")
    proof.check_silence(network.probe("a", "b", proof.FEW, wait=0.2))
    proof.check_clean(network.probe("a", "c", proof.FEW))
    proof.check_clean(network.probe("b", "c", proof.FEW))


def test_a_direction_is_set_by_itself(network: Network) -> None:
    network.set_one_way("a", "b", CUT)
    network.set_one_way("a", "b", CLEAN)
    proof.check_clean(network.probe("a", "b", proof.FEW))


KILLED = """
import sys, time
from tests.network.network import Network
network = Network(("x", "y"), 1)
print("made", flush=True)
time.sleep(600)
"""


def test_what_a_killed_run_left_is_swept_and_a_living_one_is_left_alone(network: Network) -> None:
    run = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, cwd=ROOT)
    assert run.stdout is not None
    with run, run.stdout:
        assert run.stdout.readline() == b"made\n"
        theirs = [f"{PREFIX}-{run.pid}-x", f"{PREFIX}-{run.pid}-y"]
        left = subprocess.Popen(["ip", "netns", "exec", theirs[0], "sleep", "600"])
        wait_until(lambda: str(left.pid) in pids_in(theirs[0]), what="a process to be in it")
        assert not set(sweep()) & set(theirs)
        run.kill()
        run.wait()
    assert sorted(set(sweep()) & set(theirs)) == theirs
    assert left.wait(10) == -signal.SIGKILL
    ours = f"{PREFIX}-{os.getpid()}-a"
    assert ours in existing()
    assert not set(existing()) & set(theirs)


def pids_in(namespace: str) -> list[str]:
    done = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True
    )
    return done.stdout.split()

