"""Which processes have printed something."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from sojourn.hosts.supervisor.outputs import Outputs


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    outputs = Outputs()
    yield outputs
    outputs.close()


def is_readable(outputs: Outputs) -> bool:
    return select.select([outputs.fileno()], [], [], 0)[0] != []


def test_only_who_has_printed_is_named(outputs: Outputs) -> None:
    pipes = {name: os.pipe() for name in ("a", "b", "c")}
    for name, (read, _) in pipes.items():
        outputs.add(name, read)
    assert (is_readable(outputs), outputs.ready()) == (False, [])

    os.write(pipes["b"][1], b"hello")

    assert (is_readable(outputs), outputs.ready()) == (True, ["b"])
    os.read(pipes["b"][0], 10)
    assert (is_readable(outputs), outputs.ready()) == (False, [])
    for ends in pipes.values():
        for end in ends:
            os.close(end)


def test_a_descriptor_that_was_closed_and_comes_again_is_the_new_ones(outputs: Outputs) -> None:
    read, write = os.pipe()
    outputs.add("gone", read)
    os.close(write)
    assert outputs.ready() == ["gone"]
    os.close(read)
    assert (is_readable(outputs), outputs.ready()) == (False, [])

    again, write = os.pipe()
    assert again == read
    outputs.add("new", again)
    os.write(write, b"x")

    assert outputs.ready() == ["new"]
    os.close(again)
    os.close(write)


def test_a_process_without_output_is_not_watched(outputs: Outputs) -> None:
    outputs.add("quiet", -1)

    assert outputs.ready() == []
