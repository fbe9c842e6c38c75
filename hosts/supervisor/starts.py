"""Restart intensity: a process that dies at its start over and over is backed off, durably, never spun."""

from __future__ import annotations

from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.pool import PoolKey

IMPORT = ""
"""Stands for a routine in the key of a flow's import, which is no process of any."""

FAILED_STARTS = 3
"""Starts in a row that may fail before the jobs concerned are blocked."""

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 30.0


class Starts:
    """How the starts of processes went, per pool.

    Args:
        core: shared state.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._failed = core.store.starts()
        self._reasons: dict[str, str] = {}

    def failed(self, key: PoolKey, reason: str) -> None:
        """Count a failed start and put the next one off."""
        core = self._core
        name = "/".join(key)
        times = self._failed.get(name, (0, 0.0))[0] + 1
        pause = min(FIRST_BACKOFF * 2 ** (times - 1), LONGEST_BACKOFF)
        self._failed[name] = (times, core.now.wall + pause)
        self._reasons[name] = reason
        core.round.writes.starts_put[name] = self._failed[name]
        core.log.warning("process failed to start", routine=key[1], times=times, reason=reason)

    def succeeded(self, key: PoolKey) -> None:
        """Forget earlier failures."""
        self._clear("/".join(key))

    def clear(self, digest: str) -> None:
        """Forget the failures of a flow's processes: someone says that the cause is mended."""
        for name in [name for name in self._failed if name.startswith(f"{digest}/")]:
            self._clear(name)

    def _clear(self, name: str) -> None:
        self._reasons.pop(name, None)
        if self._failed.pop(name, None) is not None:
            self._core.round.writes.starts_put[name] = (0, 0.0)

    def given_up(self, key: PoolKey) -> str | None:
        """Say why no process of a pool is started any more; None while it is tried."""
        name = "/".join(key)
        if self._failed.get(name, (0, 0.0))[0] < FAILED_STARTS:
            return None
        reason = self._reasons.get(name, "it failed before this supervisor was started")
        if key[1] == IMPORT:
            return f"the code can't be imported on host {self._core.host!r}: {reason}"
        return f"no process of routine {key[1]!r} can start on host {self._core.host!r}: {reason}"

    def may_start(self, key: PoolKey) -> bool:
        """Tell whether a start may be tried now."""
        return self._failed.get("/".join(key), (0, 0.0))[1] <= self._core.now.wall

    def next_due(self) -> float | None:
        """Give the monotonic time of the next start that was put off."""
        now = self._core.now
        return min(
            (
                now.monotonic + max(0.01, not_before - now.wall)
                for times, not_before in self._failed.values()
                if times < FAILED_STARTS
            ),
            default=None,
        )
