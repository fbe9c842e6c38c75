"""For users' tests: one turn of a routine, or whole jobs in virtual time, without supervisor or disk."""

from __future__ import annotations

from sojourn.actors.tester.faults import Fault
from sojourn.actors.tester.reports import LogLine, TurnReport
from sojourn.actors.tester.tester import FlowTester
from sojourn.actors.testing import TurnResult, run_turn

__all__ = ["Fault", "FlowTester", "LogLine", "TurnReport", "TurnResult", "run_turn"]
