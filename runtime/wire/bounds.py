"""Numbers that a client may name: refused where they are decoded, since a supervisor reckons with them."""

from __future__ import annotations

from typing import Annotated

import msgspec

LONGEST_SECONDS = 100 * 366 * 24 * 3600.0
"""A century: a later moment may be none that a clock can show."""

LARGEST_COUNT = 2**31 - 1

Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_SECONDS)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_SECONDS * 1000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
