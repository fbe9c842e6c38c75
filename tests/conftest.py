"""What every test shares: how Hypothesis searches, that CI skips nothing, and that figures are shown.

``SOJOURN_CI=1`` (set by ``.ci/run``) makes searches repeatable and turns every skipped test or file
into a failure, so that a test that can't run where it must run is never taken for one that passed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import hypothesis
import pytest

IN_CI = os.environ.get("SOJOURN_CI") == "1"

# A shell that puts the tests into the background ignores Ctrl-C for them and for whatever they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are shared and slow at times: a time limit per example would fail for no fault of ours.
# pytest-timeout guards against what hangs.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, and with SOJOURN_CI=1 no test may be: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips itself."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that skips itself while it is imported."""
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests counted: each calls ``record_property("figure", sentence)``."""
    figures = [
        str(sentence)
        for report in terminalreporter.getreports("passed")
        for name, sentence in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for sentence in sorted(figures):
            terminalreporter.line(sentence)
