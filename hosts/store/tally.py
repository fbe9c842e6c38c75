"""How many entries a job's history has and how its messages ended, kept up without counting all again.

History only grows, so each look counts what came since the last one: it costs nothing per turn, and a
long history is read through once per run. A job that is cleared must be forgotten here.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.runtime.job import RoutineCounts

JOBS_KEPT = 1_000
"""Jobs whose tally is remembered; beyond it all begin anew."""

_SINCE = """
SELECT routine, count(*), sum(final AND outcome = 0), sum(final AND outcome = 1),
       sum(final AND outcome = 2), max(CASE WHEN final THEN sequence END), max(sequence)
FROM history WHERE job = ? AND sequence > ? GROUP BY routine
"""
_RETRIES = "SELECT retry_count FROM history WHERE job = ? AND sequence = ?"


class Tally:
    """What was counted of one job's history.

    Attributes:
        seen: highest sequence number that is counted in.
        entries: entries up to it.
        counts: ended messages per routine, up to it.
    """

    __slots__ = ("counts", "entries", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.entries = 0
        self.counts: dict[str, RoutineCounts] = {}


class Tallies:
    """Tallies of the jobs that were asked for.

    Args:
        query: runs a query with its arguments and gives all rows.
    """

    def __init__(self, query: Callable[..., list[tuple[object, ...]]]) -> None:
        self._query = query
        self._known: dict[int, Tally] = {}

    def of(self, row: int) -> Tally:
        """Give a job's tally as of the last commit."""
        tally = self._known.get(row)
        if tally is None:
            if len(self._known) >= JOBS_KEPT:
                self._known.clear()
            tally = self._known[row] = Tally()
        seen = tally.seen
        for routine, entries, succeeded, failed, skipped, last, highest in self._query(
            _SINCE, row, seen
        ):
            tally.entries += _int(entries)
            tally.seen = max(tally.seen, _int(highest))
            if last is not None:
                before = tally.counts.get(str(routine), RoutineCounts(0, 0, 0, 0))
                tally.counts[str(routine)] = RoutineCounts(
                    before.succeeded + _int(succeeded), before.failed + _int(failed),
                    before.skipped + _int(skipped), _int(self._query(_RETRIES, row, last)[0][0]),
                )
        return tally

    def forget(self, row: int) -> None:
        """Count a job's history from its beginning the next time."""
        self._known.pop(row, None)


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
