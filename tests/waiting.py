"""How tests wait: on a condition, with a deadline, never for a fixed time.

Import it as ``from tests.waiting import wait_until``: the root is on pytest's ``pythonpath``, and
``tests/``, which has no ``__init__.py``, is a namespace package there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.05


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Call a predicate until what it gives is true, and give that.

    Args:
        predicate: asked at once, then at growing intervals of 2 to 50 ms, and once more at the end.
        timeout: seconds until the wait fails.
        what: what is waited for, as the end of the sentence "waited … in vain for …".

    Raises:
        AssertionError: when the time is over; it shows what the predicate gave last.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        late = time.monotonic() >= deadline
        value = predicate()
        if value:
            return value
        if late:
            name = what or getattr(predicate, "__name__", "a condition")
            raise AssertionError(f"waited {timeout:g} s in vain for {name}; last seen: {value!r}")
        time.sleep(pause)  # between two looks at the condition
        pause = min(pause * 2, LONGEST_PAUSE)
