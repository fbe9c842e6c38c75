"""Exceptions that only the module of the flow imports, not that of its routines."""

from __future__ import annotations


class Unlucky(Exception):
    """Raised by a routine that imports this module when it fails."""
