"""The command line: one file per command, imported when it is used."""

from __future__ import annotations

from sojourn.hosts.cli.main import main

__all__ = ["main"]
