"""What is known of the code that runs."""

from __future__ import annotations

from typing import cast

from sojourn.hosts.supervisor.codebases import CodeBase
from sojourn.hosts.supervisor.processes import ZygoteEnd
from sojourn.runtime.wire.zygote import Inspected


def test_a_file_that_many_flows_loaded_is_looked_at_once() -> None:
    base = CodeBase(cast("ZygoteEnd", None), ("flows",))
    for number in range(100):
        files = [("flows.py", "one"), ("helpers.py", "two")]
        base.note(f"flow {number}", Inspected(number, b"", "code", files, True))
    base.note("later", Inspected(100, b"", "code", [("flows.py", "changed")], True))

    assert list(base.files) == [("flows.py", "one"), ("helpers.py", "two"), ("flows.py", "changed")]
    assert len(base.checked) == 101
