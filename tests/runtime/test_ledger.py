"""The ledger in memory beside the SQLite store: the same writes, the same images, after every commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sojourn import Flow, NotFound
from sojourn.actors.tester.host import ROW
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.document_image import image_from_document
from sojourn.runtime.job import JobHead, Writes
from sojourn.runtime.ledger import Ledger
from sojourn.testing import FlowTester
from tests.actors.tester import flows
from tests.runtime.job_images import make_head

# Any kind of input: a test's own.
JOBS: list[tuple[Flow, dict[str, object]]] = [
    (flows.flaky(2), {"name": "a"}),
    (flows.steps(3), {}),
    (flows.fan(), {"numbers": 4}),
    (flows.large(), {"body": b"x" * 200_000}),
    (flows.one(flows.Asker()), {"timeout": 5.0, "twice": True}),
    (flows.one(flows.Raises()), {"what": "give up"}),
]


NAMES = ["retried", "in steps", "fanned out", "large", "asking", "failed"]


class Mirror:
    """A store for every ledger, written and compared at each of its commits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stores: dict[int, SqliteStore] = {}
        self._ledgers: list[Ledger] = []
        """Kept, so that no two have the same identity."""
        self.compared = 0

    def commit(self, ledger: Ledger, writes: Writes) -> None:
        store = self._stores.get(id(ledger))
        if store is None:
            name = self._folder / f"{len(self._stores)}.db"
            store = self._stores[id(ledger)] = SqliteStore.open(name, clock=lambda: 1.0)
            self._ledgers.append(ledger)
        store.commit(writes)
        for history in (True, False):
            assert ledger.image(ROW, history=history, logs=history) == store.read_image(
                ROW, history=None if history else 0, logs=history
            )
        assert ledger.last_numbers(ROW) == store.last_numbers(ROW)
        assert ledger.history_total(ROW) == store.history_total(ROW)
        assert ledger.origins() == store.origins()
        self.compared += 1

    def close(self) -> None:
        for store in self._stores.values():
            store.close()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    found = Mirror(tmp_path)
    plain = Ledger.commit

    def commit(ledger: Ledger, writes: Writes) -> None:
        plain(ledger, writes)
        found.commit(ledger, writes)

    monkeypatch.setattr(Ledger, "commit", commit)
    yield found
    found.close()


@pytest.mark.parametrize(("flow", "given"), JOBS, ids=NAMES)
def test_a_ledger_holds_what_a_store_holds(flow: Flow, given: dict[str, object], mirror: Mirror) -> None:
    tester = FlowTester(flow, move_every_turn=True, crash_every_turn=True, seed=1)
    tester.submit(given)
    tester.run()
    for asked in tester.job.waiting[:1]:
        tester.answer(text="yes", question=asked["question"])
    tester.advance(100.0)
    if tester.status == "failed":
        tester.retry()
        tester.run()
    assert mirror.compared > len(tester.turns)


def test_what_a_ledger_gives_is_a_copy() -> None:
    ledger = Ledger()
    writes = Writes()
    head = make_head()
    writes.heads[1] = head
    ledger.commit(writes)
    head.epoch = 77
    assert ledger.head(1).epoch == 2
    ledger.head(1).epoch = 78
    assert ledger.head(1) == msgspec.structs.replace(head, epoch=2)
    assert isinstance(ledger.head(1), JobHead)


def test_a_job_that_is_cleared_keeps_its_head_alone() -> None:
    tester = FlowTester(flows.fan())
    tester.submit(numbers=2)
    tester.run()
    document = tester.job.serialize()
    image = image_from_document(document, flows.fan().freeze())
    ledger = Ledger()
    for _ in range(2):
        writes = Writes()
        writes.jobs_cleared.append(1)
        writes.heads[1] = image.head
        writes.flows_put[image.head.flow_digest] = image.flow
        writes.origins_put.update(image.origins)
        writes.history.extend(row._replace(job=1) for row in image.history)
        ledger.commit(writes)
        assert len(ledger.image(1).history) == len(document["history"]) > 0
    gone = Writes()
    gone.jobs_cleared.append(1)
    ledger.commit(gone)
    assert ledger.image(1).history == []
    assert ledger.last_numbers(1) == (0, 0, 0)
    assert ledger.head(1).job_id == "test"


def test_a_job_that_a_ledger_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match="no job in row 7"):
        Ledger().image(7)
