"""One actor in its process: the routine's instance and what is committed of it.

Makes the instance, finds out which attributes changed, puts them back after a failure. Runs no
handler; that is ``turn.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.routine import RESERVED, Routine, state_names
from sojourn.actors.shared_map import SharedState
from sojourn.runtime.errors import InvalidFlow, ValueNotEncodable
from sojourn.runtime.values import BlobReference, BlobSink, decode, may_hold_blobs
from sojourn.runtime.wire.actor import JobContext

_IMMUTABLE = frozenset({int, str, float, bool, bytes, type(None)})
_NOTHING = object()


class Blobs(Protocol):
    """Where large values are kept and found."""

    def put(self, data: bytes) -> BlobReference:
        """Keep bytes durably and name them."""
        ...

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest."""
        ...


class Actor:
    """A routine's instance for one job.

    Args:
        loaded: the routine.
        context: the job, with the actor's committed attributes and the shared map.
        blobs: where large values are; None keeps them inline.
        shared: what this process knows of the job's shared map; None to begin with the context's.
        instance: a ready instance (tests); None to make one.

    Raises:
        Exception: whatever the routine's constructor or ``activate`` raises.
    """

    def __init__(
        self,
        loaded: LoadedRoutine,
        context: JobContext,
        blobs: Blobs | None,
        *,
        shared: SharedState | None = None,
        instance: Routine | None = None,
    ) -> None:
        self.loaded = loaded
        self.blobs = blobs
        self.job_id = context.job_id
        self.instance_id = context.instance
        if shared is None:
            shared = SharedState()
            shared.update(context.shared, whole=context.shared_whole)
        self.shared = shared
        self.durable: dict[str, bytes] = dict(context.attributes or {})
        """What the supervisor has of the attributes, encoded."""
        self._baseline: dict[str, bytes] | None = None
        """What a failed attempt goes back to until the first commit here; None before the first turn
        and after that commit, when it is ``durable``."""
        self.begun = False
        """Whether a turn began since what attributes go back to was noted last."""
        self.stale = False
        """Whether the attributes must be put back before the next turn."""
        self.parallel = loaded.spec.parallel
        self._last: dict[str, object] = {}
        """Immutable values as last encoded: the same object needs no new encoding."""
        if instance is None:
            instance = loaded.construct()
            for name, data in self.durable.items():
                setattr(instance, name, decode(data, loaded.classes, blobs))
            activate = getattr(instance, "activate", None)
            if activate is not None:
                activate()
        self.instance = instance
        if self.parallel:
            loaded.seal(instance)
        self.calls: dict[str, Callable[..., object]] = {}
        """Slot → the instance's method, once a turn needed it."""

    def bind(self, slot: str) -> Callable[..., object]:
        """Give the method that a slot of the routine is, and keep it in ``calls``."""
        found: Callable[..., object] = getattr(self.instance, self.loaded.handlers[slot].method)
        self.calls[slot] = found
        return found

    def begin(self) -> None:
        """Before the first turn: note what attributes go back to that aren't durable yet.

        Raises:
            ValueNotEncodable: names the attribute.
        """
        new: dict[str, bytes] = {}
        transient = self.loaded.cls.transient
        for name, value in vars(self.instance).items():
            if name[0] == "_" or name in self.durable or name in transient:
                continue
            data = new[name] = self._encode(name, value, self.blobs)
            if type(value) in _IMMUTABLE and not may_hold_blobs(data):
                self._last[name] = value
        if new:
            self._baseline = {**self.durable, **new}
        self.begun = True

    def changes(self, sink: BlobSink) -> dict[str, bytes | None]:
        """Encode the attributes whose bytes differ from the durable ones.

        Args:
            sink: takes large values, if the actor has a place for them at all.

        Raises:
            ValueNotEncodable: names the attribute.
            InvalidFlow: if one hides what every routine has.
        """
        changed: dict[str, bytes | None] = {}
        values = self.instance.__dict__
        durable = self.durable
        baseline = self._baseline
        transient = self.loaded.cls.transient
        present = 0
        for name, value in values.items():
            if name[0] == "_" or name in transient:
                continue
            if name in durable:
                present += 1
                if self._last.get(name, _NOTHING) is value:
                    continue
            elif name in RESERVED:
                raise InvalidFlow(
                    f"routine {self.loaded.spec.id!r} assigned self.{name}, which every routine has "
                    "already: choose another name"
                )
            data = None
            if baseline is not None and self._last.get(name, _NOTHING) is value:
                data = baseline.get(name)  # as ``begin`` encoded it
            if data is None:
                data = self._encode(name, value, None if self.blobs is None else sink)
            if durable.get(name) != data:
                changed[name] = data
            elif type(value) in _IMMUTABLE:
                self._last[name] = value
        if present < len(durable):
            for name in durable:
                if name not in values:
                    changed[name] = None
        return changed

    def touched(self, changed: dict[str, bytes | None]) -> str | None:
        """Give an attribute that a turn changed, among those that are not durable yet or differ."""
        baseline = self._baseline
        if baseline is None:
            return next(iter(changed), None)
        for name, data in changed.items():
            if baseline.get(name) != data:
                return name
        return next((name for name in baseline if name not in vars(self.instance)), None)

    def commit(self, changed: dict[str, bytes | None]) -> None:
        """Note that changes were sent to be committed."""
        self._baseline = None
        if not changed:
            return
        values = vars(self.instance)
        for name, data in changed.items():
            if data is None:
                self.durable.pop(name, None)
                self._last.pop(name, None)
                continue
            self.durable[name] = data
            value = values.get(name)
            if type(value) in _IMMUTABLE:
                self._last[name] = value
            else:
                self._last.pop(name, None)

    def restore(self) -> None:
        """Put the attributes back to the last commit point."""
        if not self.begun:
            return
        instance = self.instance
        values = vars(instance)
        saved = self.durable if self._baseline is None else self._baseline
        for name in state_names(instance):
            if name not in saved:
                object.__delattr__(instance, name)
        for name, data in saved.items():
            if name in self._last and self._last[name] is values.get(name, _NOTHING):
                continue
            object.__setattr__(
                instance, name, decode(data, self.loaded.classes, self.blobs)
            )
        if self._baseline is not None:
            # No commit refers to its blobs, so they are swept in time: the next turn puts them anew.
            self.begun = False

    def _encode(self, name: str, value: object, sink: BlobSink | None) -> bytes:
        try:
            return self.loaded.encoder.encode(value, where=f"attribute {name!r}", blobs=sink)
        except ValueNotEncodable as error:
            raise ValueNotEncodable(
                f"routine {self.loaded.spec.id!r}: {error.message}"
            ) from None
