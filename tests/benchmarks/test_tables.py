"""What was measured is kept and shown: tables, page, file."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.figure import Line, Measured
from benchmarks.suite.machine import BUSY, file_system
from benchmarks.suite.page import belongs, page, write
from benchmarks.suite.plots import slug
from benchmarks.suite.record import Record, keep, load
from benchmarks.suite.table import about, number, row, rows, text

FAST = Line("jobs", "5,000 jobs", "turns/s", [600.0, 500.0, 900.0], "bare loop", [1000.0, 1000.0, 1000.0])
SLOW = Line("jobs", "5,000 jobs", "turns/s", [250.0], "bare loop", [1000.0])


def record(name: str, measured: Measured, load_before: str = "0.10") -> Record:
    return Record(
        name, f"All {name}", 3, {"jobs": 5000}, 1.5, measured, {"load before": load_before, "cores": "2"},
        {"python": "3.11"}, {"synchronous": "FULL"},
    )


def test_a_row_names_ours_its_neighbour_their_ratio_and_whether_the_target_is_met() -> None:
    shown = row("turns", FAST)
    assert shown.ours == "600 (500 to 900) turns/s"
    assert shown.beside == "1,000 turns/s: bare loop"
    assert shown.ratio == "0.600 (0.500 to 0.900)"
    assert shown.target == "≥ 0.5 times: met"


def test_a_missed_target_says_how_far_it_is_missed() -> None:
    assert row("turns", SLOW).target == "≥ 0.5 times: MISSED 2.00-fold"
    assert row("memory", Line("supervisor", "idle", "MiB", [90.0])).target == "≤ 60 MiB: MISSED 1.50-fold"


def test_a_line_without_a_target_and_without_a_neighbour_is_only_reported() -> None:
    shown = row("handoff", Line("fsync", "one fsync", "ms", [0.21, 0.21]))
    assert shown == ("one fsync", "0.210 ms", "", "", "")


def test_fewer_repetitions_than_were_asked_for_are_said() -> None:
    shown = [one.what for one in rows(record("turns", Measured([FAST, SLOW])))]
    assert shown == ["5,000 jobs", "5,000 jobs [1 of 3 repetitions]"]


def test_what_could_not_be_measured_is_in_the_table_with_its_reason() -> None:
    (shown,) = rows(record("handoff_distant", Measured([], absent={"p50": "it needs root"})))
    assert shown[:3] == ("handoff_distant.p50", "not measured", "it needs root")


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert [*map(number, (0, 0.1234, 1.234, 12.34, 123.4, 123_456.7))] == [
        "0", "0.123", "1.23", "12.3", "123", "123,457"
    ]


def test_figures_of_a_busy_machine_are_marked_in_the_table_and_on_the_page() -> None:
    busy, quiet = (record("turns", Measured([FAST]), said) for said in ("9.00" + BUSY, "0.10"))
    assert "[busy machine]" in text([busy])
    assert "[busy machine]" in page([busy], [])
    assert "[busy machine]" not in text([quiet]) + page([quiet], [])


def test_the_table_names_machine_versions_and_durability() -> None:
    assert about(record("turns", Measured([FAST])))[:3] == [
        "machine: load before 0.10, cores 2", "versions: python 3.11", "durability: synchronous FULL",
    ]


def test_columns_stand_below_each_other() -> None:
    lines = text([record("turns", Measured([FAST, SLOW]))]).splitlines()
    places = {line.index("turns/s") for line in lines if "turns/s" in line}
    assert len({line.index("1,000 turns/s") for line in lines if "1,000 turns/s" in line}) == 1
    assert len(places) == 2, "ours are of different length, what stands behind them isn't"


def test_what_is_kept_is_read_again_and_the_page_is_made_of_it(tmp_path: Path) -> None:
    kept = {"turns": record("turns", Measured([FAST], notes={"a": "b"}))}
    assert load(tmp_path) == {}
    keep(tmp_path, kept)
    assert load(tmp_path) == kept
    (tmp_path / "turns-plot.svg").touch()
    written = write(tmp_path).read_text()
    assert "## All turns" in written
    assert "| 5,000 jobs | 600 (500 to 900) turns/s |" in written
    assert "![turns-plot.svg](turns-plot.svg)" in written


def test_a_plot_belongs_to_the_figure_that_its_name_begins_with() -> None:
    assert belongs("handoff-downtime.svg", "handoff")
    assert not belongs("handoff_blobs-downtime.svg", "handoff")
    assert slug("One job, on an idle host") == "one-job-on-an-idle-host"


def test_the_file_system_is_that_of_the_deepest_mount() -> None:
    assert file_system(Path("/proc/self")) == "proc"
