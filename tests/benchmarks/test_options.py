"""Which figures are measured, and how large, is what was asked for."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import choose, sizes_of
from benchmarks.figures.all import FIGURES
from benchmarks.figures.handoff_distant import FIGURE as DISTANT
from benchmarks.figures.turns import FIGURE as TURNS
from benchmarks.figures.turns import Sizes
from benchmarks.profiling import titled
from benchmarks.suite.alone import main, resized


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


def test_a_flame_graph_says_what_it_shows() -> None:
    drawn = '<svg><text id="title" x="1">/somewhere/py-spy record</text><text id="other">x</text></svg>'
    assert titled(drawn, "supervisor & jobs") == (
        '<svg><text id="title" x="1">supervisor &amp; jobs</text><text id="other">x</text></svg>'
    )
