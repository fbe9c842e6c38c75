"""Every figure runs, in sizes that say nothing of its speed, through the command that people use."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from benchmarks.figures.all import FIGURES
from benchmarks.suite.plots import OVERVIEW
from benchmarks.suite.record import Record, load
from benchmarks.suite.table import row
from benchmarks.suite.targets import TARGETS

ROOT = Path(__file__).parents[2]
NETWORK = "handoff_distant"
"""Makes namespaces, which others clear away: tests that do take turns."""


def half(start: int, called: str) -> ParameterSet:
    """Give every second figure."""
    names = [figure.name for figure in FIGURES[start::2]]
    marks = [pytest.mark.xdist_group("network")] if NETWORK in names else []
    return pytest.param(names, marks=marks, id=called)


HALVES = [half(0, "one half"), half(1, "the other half")]
PATIENCE = 240


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "--tiny", "--runs", "1", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )


@pytest.mark.timeout(PATIENCE + 30)
@pytest.mark.parametrize("names", HALVES)
def test_figures_are_complete_and_finite_and_kept_with_plots_and_page(
    names: list[str], tmp_path: Path
) -> None:
    done = run("benchmarks", "--only", ",".join(names), "--into", tmp_path)
    assert done.returncode == 0, done.stderr
    records = load(tmp_path)
    assert [*records] == names
    page = (tmp_path / "figures.md").read_text()
    for record in records.values():
        complete_and_finite(record)
        for line in record.measured.lines:
            assert row(record.name, line).what in done.stdout
        assert f"## {record.title}" in page
    plots = {path.stem for path in tmp_path.glob("*.svg")}
    curves = {record.name for record in records.values() if record.measured.curves}
    assert {plot.partition("-")[0] for plot in plots} == curves | {OVERVIEW}


def complete_and_finite(record: Record) -> None:
    """Every line that a target or a reader expects is there, with a number per repetition."""
    measured = record.measured
    expected = {key.partition(".")[2] for key in TARGETS if key.startswith(f"{record.name}.")}
    assert expected <= {line.name for line in measured.lines} | measured.absent.keys()
    assert measured.lines or measured.absent
    assert len({line.name for line in measured.lines}) == len(measured.lines)
    for line in measured.lines:
        numbers = [*line.ours, *line.beside]
        assert len(line.ours) == 1, line
        assert len(line.beside) in (0, 1), line
        assert all(math.isfinite(number) and number >= 0 for number in numbers), line
        assert all(number > 0 for number in line.beside), line
        assert bool(line.beside) == bool(line.against), line
    for curve in measured.curves:
        assert curve.points
        assert all(math.isfinite(number) for point in curve.points for number in point), curve
    assert {"cores", "processor", "file system", "load before", "commit"} <= record.machine.keys()
    assert record.durability["synchronous"] == "FULL"


def test_every_target_is_of_a_figure() -> None:
    assert {key.partition(".")[0] for key in TARGETS} <= {figure.name for figure in FIGURES}


@pytest.mark.timeout(PATIENCE + 30)
def test_a_peer_that_is_not_installed_is_named_as_absent_and_no_figure_stands_in_for_it(
    tmp_path: Path,
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without any installed package
    bare.chmod(0o700)
    done = run("benchmarks.peers", "--python", bare, "--into", tmp_path)
    assert done.returncode == 0, done.stderr
    measured = load(tmp_path)["peers"].measured
    assert measured.lines == []
    assert {name: reason.partition(":")[0] for name, reason in measured.absent.items()} == {
        "dbos": "DBOS on SQLite is absent", "ray": "Ray actors is absent",
        "celery": "Celery on Redis is absent",
    }
    assert "No module named" in measured.absent["dbos"]


def test_a_peer_that_is_installed_answers_with_its_seconds(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "from benchmarks.peers.protocol import Peer, serve\n"
        "def queued(count): print('noise of the peer')\n"
        "serve(lambda folder: Peer(f'in {folder.name}', queued, lambda: None, lambda: None))\n"
    )
    done = subprocess.run(
        [sys.executable, worker, tmp_path], input="queued 3\nsingle 4\n", capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(ROOT)},
    )
    said = done.stdout.splitlines()
    assert said[0] == f"ready in {tmp_path.name}"
    assert len(said[2].split(",")) == 1
    assert len(said[3].split(",")) == 4
