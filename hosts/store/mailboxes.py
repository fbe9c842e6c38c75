"""Queries for pending messages where there may be very many: the oldest, those that were tried, a count.

Makes no rows of what it reads: who asks looks at them first.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.runtime.job import StoredMessages

Plain = tuple[object, ...]
Query = Callable[..., list[Plain]]
"""Runs a query with its arguments and gives all rows."""

UNTRIED = "(attempts = 0 AND due IS 0.0 AND progress IS NULL)"
"""Of a message that was never tried."""


def read_mailboxes(query: Query, row: int, pending: int) -> tuple[list[Plain], list[StoredMessages]]:
    """Read the oldest pending messages of a job and those that were tried, and count the others.

    Args:
        query: asks the store.
        row: the job.
        pending: how many of the oldest.
    """
    oldest = query("SELECT * FROM messages WHERE job = ? ORDER BY message LIMIT ?", row, pending)
    if len(oldest) < pending:
        return oldest, []
    last = oldest[-1][1] if oldest else 0
    tried = query(
        f"SELECT * FROM messages WHERE job = ? AND message > ? AND NOT {UNTRIED} ORDER BY message",
        row, last,
    )
    counted = query(
        "SELECT routine, min(message), count(*), sum(length(data)) FROM messages"
        f" WHERE job = ? AND message > ? AND {UNTRIED} GROUP BY routine ORDER BY routine",
        row, last,
    )
    return oldest + tried, [StoredMessages(str(name), *map(_int, figures)) for name, *figures in counted]


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
