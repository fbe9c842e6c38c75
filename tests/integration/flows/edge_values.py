"""An Enum that a handler imports while it runs."""

from __future__ import annotations

from enum import Enum


class Size(Enum):
    LARGE = 3
