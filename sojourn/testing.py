"""For users' tests: run one turn of a routine without supervisor or disk."""

from __future__ import annotations

from sojourn.actors.testing import TurnResult, run_turn

__all__ = ["TurnResult", "run_turn"]
