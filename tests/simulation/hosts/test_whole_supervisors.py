"""Ten thousand worlds of whole supervisors: nothing that is promised is broken, whatever goes wrong.

A failure names its seed, and shows the end of its trace; ``python -m tests.simulation.hosts.soak --seed N``
shows it again. What was found is kept in ``regressions``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.hosts import soak
from tests.simulation.hosts.disk import Fate
from tests.simulation.hosts.mutations import PLANTED, Mutation, a_move_resets_attempts
from tests.simulation.hosts.plan import make_plan
from tests.simulation.hosts.regressions import REGRESSIONS, Regression, first_seed_that_notices
from tests.simulation.hosts.world import run_seed

SEEDS = 10_000
LOOKS_BESIDE = 60
"""A seed in which a host looks through blobs that it has, beside its rounds."""

AT_ONCE = 125
"""Seeds of one test, so that workers share them."""

NOTICED_WITHIN = 250
"""Seeds within which every planted mutation is noticed."""

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_that_is_promised_is_broken(first: int) -> None:
    _, bad = soak.run_batch(first, AT_ONCE)
    assert not bad, "\n\n".join(report.told() for report in bad[:3])


def test_the_seeds_mean_what_they_claim() -> None:
    """Every kind of fault strikes, jobs move a lot, and there is hardly a run without any of it."""
    totals, _ = soak.run_batch(0, 150)
    assert all(totals[fate.value] for fate in Fate), totals
    assert totals["moves"] > 100
    assert totals["deaths"] > 300
    for what in ("lost frames", "repeated", "late", "breaks", "turns"):
        assert totals[what] > 50, what
    happenings = {it.what for seed in range(150) for it in make_plan(seed).happenings}
    assert happenings == {
        "move", "pause", "cancel", "drain", "crash", "fuse", "disk", "full", "part", "deafen", "break",
        "clock", "zygote", "code",
    }


def test_nothing_goes_wrong_once_all_is_mended() -> None:
    """A host that was doomed after that would die, and nobody would start it again."""
    plans = {seed: make_plan(seed) for seed in range(1000)}
    late = [
        (seed, it) for seed, plan in plans.items() for it in plan.happenings if it.at > plan.horizon
    ]
    assert not late


def test_the_shipped_store_makes_the_same_runs_as_the_one_in_memory() -> None:
    for seed in (*range(25), LOOKS_BESIDE):
        in_memory, shipped = run_seed(seed), run_seed(seed, sqlite=True)
        assert not shipped.violation, shipped.told()
        assert in_memory.digest == shipped.digest, f"seed {seed}"


def test_a_seed_reproduces_its_run_exactly() -> None:
    seeds = [*range(30), LOOKS_BESIDE]
    script = (
        "from tests.simulation.hosts.world import run_seed\n"
        f"print([run_seed(seed).digest for seed in {seeds}])"
    )
    here = str([run_seed(seed).digest for seed in seeds])
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.strip() == here


@pytest.mark.parametrize("mutation", PLANTED, ids=lambda mutation: mutation.__name__)
def test_a_mutation_is_noticed(mutation: Mutation) -> None:
    assert first_seed_that_notices(mutation, seeds=NOTICED_WITHIN) is not None


@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda one: one.mutation.__name__)
def test_what_was_found_stays_mended(regression: Regression, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, plan = regression.seed, regression.plan
    mended = run_seed(seed, plan=plan(seed))
    assert not mended.violation, f"{regression.found}\n{mended.told()}"
    regression.mutation(monkeypatch)
    assert run_seed(seed, plan=plan(seed)).violation, "the seed has lost its meaning: find another"


def test_a_soak_tells_of_what_it_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert soak.main(["--seed", "0"]) == 0
    assert "nothing was violated" in capsys.readouterr().out
    a_move_resets_attempts(monkeypatch)
    seed = first_seed_that_notices(a_move_resets_attempts)
    assert soak.main(["--seed", str(seed)]) == 1
    told = capsys.readouterr().out
    assert f"seed {seed}: G4" in told
    assert "begins" in told, "the trace"
    assert f"soak --seed {seed}" in told


def test_a_soak_runs_for_as_long_as_told_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--minutes", "0.02", "--first", "0", "--processes", "1"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("50 seeds")
    assert last.endswith("; 0 violations")
