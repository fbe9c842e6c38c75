"""The job's shared map as a turn sees it: a committed snapshot under this process's own writes.

Everything is kept encoded, so what is read is a copy and only assignment writes. Own writes of turns
that the supervisor has not yet acknowledged lie over the snapshot and are merged on the bytes, by the
function that the engine uses too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sojourn.runtime.errors import OutsideTurn, ValueMalformed, ValueNotEncodable
from sojourn.runtime.shared import merge
from sojourn.runtime.values import BlobSink, BlobSource, ClassTable, Encoder, decode
from sojourn.runtime.wire.actor import SharedKind

Write = tuple[str, SharedKind, bytes]


class SharedState:
    """What one process knows of one job's shared map."""

    __slots__ = ("_overlay", "_snapshot", "_view")

    def __init__(self) -> None:
        self._snapshot: dict[str, bytes] = {}
        self._overlay: list[tuple[int, Write]] = []
        self._view: dict[str, bytes] | None = None

    def update(self, changes: dict[str, bytes | None], *, whole: bool) -> None:
        """Take in committed changes; None as value means that the key is gone."""
        if whole:
            self._snapshot = {key: value for key, value in changes.items() if value is not None}
        else:
            for key, value in changes.items():
                if value is None:
                    self._snapshot.pop(key, None)
                else:
                    self._snapshot[key] = value
        self._view = None

    def acknowledge(self, unit: int) -> None:
        """Drop own writes up to a commit unit: the snapshots sent since hold them."""
        if self._overlay:
            kept = [entry for entry in self._overlay if entry[0] > unit]
            if len(kept) != len(self._overlay):
                self._overlay = kept
                self._view = None

    def add(self, unit: int, writes: list[Write], view: dict[str, bytes]) -> None:
        """Lay the writes of one commit unit over the snapshot.

        Args:
            unit: number of the result that they leave with.
            writes: them.
            view: what the turn saw that wrote them, after them. Not to be changed from now on.
        """
        self._overlay.extend((unit, write) for write in writes)
        self._view = view

    def view(self) -> dict[str, bytes]:
        """Give the map as a turn that begins now sees it. Not to be changed."""
        if self._view is None:
            view = self._snapshot
            if self._overlay:
                view = dict(view)
                for _, write in self._overlay:
                    try:
                        apply_write(view, write)
                    except ValueMalformed:
                        # Another turn has put something else there since: the engine refuses this
                        # write in commit order, and turns that come after it don't see it.
                        continue
            self._view = view
        return self._view


def apply_write(view: dict[str, bytes], write: Write) -> None:
    """Apply one write to a map of encoded values."""
    key, kind, operand = write
    value = merge(view.get(key), kind, operand)
    if value is None:
        view.pop(key, None)
    else:
        view[key] = value


# Any below: what authors keep in the map is their own.
class SharedMap:
    """``self.shared`` in a handler: reads give copies, assignment writes whole keys.

    Args:
        view: encoded values at the turn's begin.
        encoder: makes bytes of values.
        classes: resolves dataclasses and Enums.
        blobs: gives large values; None in tests without files.
        sink: keeps them.
    """

    __slots__ = ("_blobs", "_classes", "_closed", "_encoder", "_sink", "view", "writes")

    def __init__(
        self,
        view: dict[str, bytes],
        encoder: Encoder,
        classes: ClassTable,
        blobs: BlobSource | None,
        sink: BlobSink | None,
    ) -> None:
        self.view = view
        """Encoded values as they are seen now; a copy of its own from the first write on."""
        self._encoder = encoder
        self._classes = classes
        self._blobs = blobs
        self._sink = sink
        self._closed = False
        self.writes: list[Write] = []

    def go_on(self, view: dict[str, bytes]) -> None:
        """Begin anew after a commit point; who holds the map goes on using it."""
        self.view = view
        self.writes = []

    def close(self, blobs: BlobSource | None) -> None:
        """The turn is over: nothing can be written any more, and the turn itself isn't held on to.

        Args:
            blobs: gives large values from now on.
        """
        self._closed = True
        self._blobs = blobs
        self._sink = None

    def _write(self, key: str, kind: SharedKind, value: object) -> None:
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"keys of the shared map are text, not {type(key).__name__}")
        if self._closed:
            raise OutsideTurn(
                f"the turn that this shared map was taken in is over, so {key!r} can't be written: "
                "take self.shared in each handler"
            )
        where = f"shared[{key!r}]"
        if not key.isascii() and key.encode("utf-8", "ignore").decode() != key:
            raise ValueNotEncodable(f"{where} can't be encoded: its key is no valid text")
        # Lists stay inline, so that `append` can merge with them in the supervisor.
        inline = kind is not SharedKind.SET or issubclass(type(value), list)
        sink = None if inline else self._sink
        write = (key, kind, self._encoder.encode(value, where=where, blobs=sink))
        if not self.writes:
            self.view = dict(self.view)
        apply_write(self.view, write)
        self.writes.append(write)

    def __getitem__(self, key: str) -> Any:
        return decode(self.view[key], self._classes, self._blobs)

    def get(self, key: str, default: Any = None) -> Any:
        """Give a copy of a value, or the default."""
        return self[key] if key in self.view else default

    def __setitem__(self, key: str, value: Any) -> None:
        self._write(key, SharedKind.SET, value)

    def __delitem__(self, key: str) -> None:
        if key not in self.view:
            raise KeyError(key)
        self._write(key, SharedKind.DELETE, None)

    def __contains__(self, key: object) -> bool:
        return key in self.view

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.view))

    def __len__(self) -> int:
        return len(self.view)

    def keys(self) -> list[str]:
        """Give the keys."""
        return list(self.view)

    def items(self) -> list[tuple[str, Any]]:
        """Give copies of everything."""
        return [(key, self[key]) for key in self.view]

    def add(self, key: str, number: float) -> None:
        """Add to a number (0 where there is none); merges with other turns' additions.

        Raises:
            TypeError: if it is no number.
        """
        if isinstance(number, bool) or not isinstance(number, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"shared.add takes a number, not {type(number).__name__}")
        self._write(key, SharedKind.ADD, number)

    def append(self, key: str, value: Any) -> None:
        """Append to a list (empty where there is none); merges with other turns' additions."""
        self._write(key, SharedKind.APPEND, value)
