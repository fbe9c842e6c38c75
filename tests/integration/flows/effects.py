"""How the routines of the tests leave traces: one line per effect, appended at once."""

from __future__ import annotations

import os

from sojourn import Routine


def note(routine: Routine, what: str) -> None:
    """Append what a routine does now to the test's file."""
    line = "\t".join(
        (what, routine.turn_id, str(routine.attempt), os.environ["SOJOURN_TEST_HOST"], str(os.getpid()))
    )
    descriptor = os.open(os.environ["SOJOURN_TEST_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, (line + "\n").encode())
    finally:
        os.close(descriptor)
