"""The public names: all there, and none paid for before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sojourn
import sojourn.testing
from sojourn.runtime import errors

SUPERVISOR = """
from sojourn.hosts.supervisor import plain_logging
plain_logging.import_structlog()
import sojourn.hosts.supervisor.running
"""
"""What ``up`` imports."""


def test_importing_sojourn_imports_neither_sockets_nor_stores_nor_a_folder_of_it() -> None:
    script = "import sys, sojourn; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {"zmq", "sqlite3", "msgpack", "msgspec", "click", "rich", "structlog"}
    folders = {"sojourn.actors", "sojourn.hosts", "sojourn.runtime"}
    assert "sojourn" in loaded
    assert not loaded & (heavy | folders)


def test_authoring_a_flow_imports_neither_sockets_nor_stores() -> None:
    script = (
        "import sys; from sojourn import Flow, Routine, slot, event, ErrorHandler; "
        "from sojourn.testing import FlowTester; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"zmq", "sqlite3", "click", "rich"}


@pytest.mark.parametrize(
    ("script", "unneeded"),
    [
        ("import sojourn.hosts.cli", "zmq msgpack sqlite3 structlog rich asyncio"),
        ("import sojourn.hosts.cli.show", "sqlite3 structlog rich asyncio logging"),
        ("import sojourn.hosts.cli.up, sojourn.hosts.supervisor.main", "structlog rich asyncio"),
        (SUPERVISOR, "rich click.testing"),
    ],
)
def test_what_is_started_often_imports_only_what_it_needs(script: str, unneeded: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )
    assert set(done.stdout.split()).isdisjoint(unneeded.split())


def test_rich_can_be_imported_after_structlog_came_without_it() -> None:
    script = (
        "from sojourn.hosts.supervisor.plain_logging import import_structlog; import_structlog(); "
        "import rich.console, structlog.dev; print(structlog.dev.ConsoleRenderer().__class__.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "ConsoleRenderer\n"


@pytest.mark.parametrize("name", sojourn.__all__)
def test_a_public_name_resolves_to_the_thing_of_that_name(name: str) -> None:
    value = getattr(sojourn, name)
    if name != "__version__":
        assert value.__name__ == name


def test_dir_lists_every_public_name() -> None:
    assert set(sojourn.__all__) <= set(dir(sojourn))


def test_every_error_of_the_tree_is_public() -> None:
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert tree <= set(sojourn.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'sojourn' has no attribute 'Flwo'"):
        getattr(sojourn, "Flwo")  # noqa: B009 - type checkers know that it isn't there


def test_testing_gives_out_what_it_names() -> None:
    assert sojourn.testing.__all__ == [
        "Fault", "FlowTester", "LogLine", "TurnReport", "TurnResult", "run_turn",
    ]
    assert all(hasattr(sojourn.testing, name) for name in sojourn.testing.__all__)
