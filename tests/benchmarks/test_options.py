"""Which figures are measured, and how large, is what was asked for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as command
from benchmarks.__main__ import choose, sizes_of
from benchmarks.figures.all import FIGURES
from benchmarks.figures.handoff_distant import FIGURE as DISTANT
from benchmarks.figures.turns import FIGURE as TURNS
from benchmarks.figures.turns import Sizes
from benchmarks.profiling import titled
from benchmarks.suite.alone import main, resized
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.record import load


class One(msgspec.Struct, frozen=True):
    size: int


def test_all_figures_are_measured_unless_some_are_named() -> None:
    assert choose("") == [*FIGURES]
    assert [figure.name for figure in choose("handoff,turns")] == ["turns", "handoff"]


def test_a_figure_that_does_not_exist_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(SystemExit, match="no figure tunrs: choose of turns, payloads"):
        choose("tunrs")


def test_sizes_are_replaced_one_by_one() -> None:
    asked = ["turns.jobs=7", "handoff_distant.round_trip_ms=5.5"]
    assert sizes_of(TURNS, asked, tiny=False) == Sizes(jobs=7)
    assert sizes_of(DISTANT, asked, tiny=True).round_trip_ms == 5.5  # type: ignore[attr-defined]
    assert sizes_of(TURNS, [], tiny=True) == TURNS.tiny


def test_a_size_that_does_not_exist_or_is_no_number_is_refused() -> None:
    with pytest.raises(SystemExit, match="no size job: choose of jobs, sources"):
        resized(Sizes(), {"job": "7"})
    with pytest.raises(SystemExit, match="must be a number"):
        resized(Sizes(), {"jobs": "many"})


def test_every_figure_has_the_name_of_its_module_and_can_be_run_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for figure in FIGURES:
        assert figure.measure.__module__ == f"benchmarks.figures.{figure.name}"
        with pytest.raises(SystemExit) as ended:
            main(figure, ["--help"])
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        for name in figure.sizes.__struct_fields__:
            assert "--" + name.replace("_", "-") in printed


def good(run: Run[One]) -> Measured:
    return Measured([Line("size", "the size", "things", [float(run.sizes.size)] * run.runs)])


def bad(run: Run[One]) -> Measured:
    raise RuntimeError(f"{run.sizes.size} is no good size")


def test_a_figure_that_fails_is_named_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = [Figure(work.__name__, "A figure", One(3), One(1), work) for work in (bad, good)]
    monkeypatch.setattr(command, "FIGURES", figures)
    assert command.main(["--into", str(tmp_path), "--size", "good.size=7", "--runs", "2"]) == 1
    printed = capsys.readouterr()
    assert "bad could not be measured" in printed.err
    assert "3 is no good size" in printed.err
    assert "the size" in printed.out
    (kept,) = load(tmp_path).values()
    assert (kept.name, kept.sizes, kept.measured.lines[0].ours) == ("good", {"size": 7}, [7.0, 7.0])


def test_repetitions_end_where_they_take_too_long_but_not_before_the_first(tmp_path: Path) -> None:
    assert [*Run(One(1), 3, tmp_path).repetitions()] == [1, 2, 3]
    assert [*Run(One(1), 3, tmp_path, seconds=-1.0).repetitions()] == [1]


def test_figures_that_are_not_measured_again_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [Figure(name, "A figure", One(3), One(1), good) for name in ("one", "two")]
    monkeypatch.setattr(command, "FIGURES", figures)
    arguments = ["--into", str(tmp_path), "--runs", "1"]
    assert command.main(arguments) == 0
    assert command.main([*arguments, "--only", "one", "--tiny"]) == 0
    assert {name: kept.sizes["size"] for name, kept in load(tmp_path).items()} == {"one": 1, "two": 3}
    assert command.main([*arguments, "--only", "two", "--tiny", "--dry"]) == 0
    assert load(tmp_path)["two"].sizes["size"] == 3


def test_a_flame_graph_says_what_it_shows() -> None:
    drawn = '<svg><text id="title" x="1">/somewhere/py-spy record</text><text id="other">x</text></svg>'
    assert titled(drawn, "supervisor & jobs") == (
        '<svg><text id="title" x="1">supervisor &amp; jobs</text><text id="other">x</text></svg>'
    )
