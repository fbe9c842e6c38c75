"""What every ``Store`` must do where many jobs are read at once."""

from __future__ import annotations

import pytest

from sojourn.hosts.store.shown import ShownJob
from sojourn.runtime.job import JobStatus, Origin, Ownership
from tests.hosts.store.conformance_jobs import StoreFactory
from tests.hosts.store.rows import NOW, entry, head, message, started, whole_image, writes_of


class ShownConformance:
    """Inherited together with a fixture ``store_factory``: many jobs read at once."""

    def test_jobs_that_are_read_together_are_those_that_are_read_one_by_one(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        store.commit(writes_of(3, whole_image(3)))
        store.commit(started(4))
        writes = started(7)
        writes.origins_put[7] = Origin("a", 1, "sha256:one")
        writes.history = [entry(7, sequence) for sequence in range(1, 6)]
        writes.messages_put = [message(7, number, retry_count=number) for number in (9, 3, 6)]
        store.commit(writes)

        found = store.read_shown([7, 3, 5, 4], history=2, pending=2)

        assert found.keys() == {3, 4, 7}
        for row, shown in found.items():
            assert isinstance(shown, ShownJob)
            image = store.read_image(row, history=2, pending=2, logs=False)
            image.flow, image.blobs = b"", []
            assert shown.image == image
            assert shown.history_total == store.history_total(row)
            assert shown.pending_total == store.pending_total(row)
            assert shown.pending_retries == store.pending_retries(row)

    @pytest.mark.parametrize("entries", [0, 1, 4, 5, 6, 20])
    def test_the_whole_history_is_counted_however_much_of_it_is_read(
        self, store_factory: StoreFactory, entries: int
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.origins_put[7] = Origin("a", 1, "sha256:one")
        writes.history = [entry(1, sequence) for sequence in range(1, entries + 1)]
        store.commit(writes)

        shown = store.read_shown([1], history=5, pending=5)[1]

        assert isinstance(shown, ShownJob)
        assert shown.history_total == entries
        assert [row.sequence for row in shown.image.history] == [*range(1, entries + 1)][-5:]
        assert shown.image.counts == store.counts(1)

    def test_of_many_jobs_those_are_known_that_are_over(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        for row, (status, ownership) in enumerate([
            (JobStatus.RUNNING, Ownership.OWNED), (JobStatus.COMPLETED, Ownership.OWNED),
            (JobStatus.FAILED, Ownership.OWNED), (JobStatus.COMPLETED, Ownership.FORGOTTEN),
            (JobStatus.CANCELLED, Ownership.OWNED), (JobStatus.COMPLETED, Ownership.GONE),
        ], start=1):
            store.commit(started(row, head(f"job-{row}", status=status, ownership=ownership)))

        asked = ["job-9", *(f"job-{row}" for row in range(6, 0, -1))]
        assert store.ended(asked) == {"job-2": 2, "job-3": 3, "job-5": 5}
        assert store.ended([]) == {}
