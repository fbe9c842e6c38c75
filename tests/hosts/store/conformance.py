"""The suite that every ``Store`` passes: inherit ``StoreConformance`` and give a ``store_factory``.

::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store_factory(self) -> ...:
            ...
"""

from __future__ import annotations

import pytest

from sojourn.runtime.job import (
    HandoffRow,
    InviteRow,
    JobStatus,
    Ownership,
    PeerRow,
    Writes,
)
from tests.hosts.store.conformance_jobs import JobConformance, RowConformance, StoreFactory
from tests.hosts.store.conformance_shown import ShownConformance
from tests.hosts.store.rows import DAY, NOW, head, started


class StoreConformance(JobConformance, RowConformance, ShownConformance):
    """All of it: jobs, rows, and what a host knows besides."""

    def test_a_store_keeps_its_id_and_counts_its_openings(self, store_factory: StoreFactory) -> None:
        first = store_factory(NOW)
        store_id, incarnation = first.store_id, first.incarnation
        assert incarnation == 1
        assert not first.restored

        second = store_factory(NOW)

        assert (second.store_id, second.incarnation) == (store_id, 2)
        assert second.meta()["store_id"] == store_id
        assert second.meta()["incarnation"] == "2"
        assert not second.restored

    def test_meta_is_kept(self, store_factory: StoreFactory) -> None:
        writes = Writes()
        writes.meta_put = {"cordoned": "1"}
        store_factory(NOW).commit(writes)

        assert store_factory(NOW).meta()["cordoned"] == "1"

    def test_a_repeated_command_gets_its_answer_for_a_day(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = Writes()
        writes.commands_put = [("old", b"first", NOW - DAY), ("new", b"second", NOW)]
        store.commit(writes)
        assert (store.command_reply("old"), store.command_reply("new")) == (b"first", b"second")
        assert store.command_reply("other") is None

        assert store_factory(NOW + DAY - 1).command_reply("new") == b"second"
        assert store_factory(NOW + DAY + 1).command_reply("new") is None

    def test_failed_starts_are_remembered_until_they_are_cleared(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = Writes()
        writes.starts_put = {"flow/load": (3, NOW + 4.5), "flow/parse": (1, NOW)}
        store.commit(writes)
        writes = Writes()
        writes.starts_put = {"flow/load": (4, NOW + 9), "flow/parse": (0, 0.0)}
        store.commit(writes)

        assert store_factory(NOW).starts() == {"flow/load": (4, NOW + 9)}

    def test_a_handoff_is_known_by_role_and_id(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        source = HandoffRow("m", "source", "frozen", "job", "instance", 1, "b", b"record")
        target = HandoffRow("m", "target", "staging", "job", "instance", 1, "a", b"other", b"image")
        writes = Writes()
        writes.handoffs_put = {"source:m": source, "target:m": target}
        store.commit(writes)

        assert store.handoffs() == [source, target]
        assert store.handoff("target", "m") == target
        assert store.handoff("target", "n") is None

        released = HandoffRow("m", "source", "released", "job", "instance", 1, "b", b"later")
        writes = Writes()
        writes.handoffs_put = {"source:m": released}
        writes.handoffs_deleted = [("target", "m")]
        store.commit(writes)

        assert store_factory(NOW).handoffs() == [released]

    def test_peers_and_invitations_are_kept_and_replaced(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = Writes()
        writes.peers_put = [PeerRow("b", "key", None, "store", NOW)]
        writes.invites_put = [InviteRow("invite", NOW + 60)]
        store.commit(writes)
        peer = PeerRow("b", "key", "tcp://b:1", "store", NOW, 4)
        invite = InviteRow("invite", NOW + 60, "b")
        writes = Writes()
        writes.peers_put = [peer]
        writes.invites_put = [invite]
        store.commit(writes)

        again = store_factory(NOW)
        assert again.peers() == [peer]
        assert again.invites() == [invite]

    @pytest.mark.parametrize(
        ("before", "keep", "expected"),
        [
            (NOW, 100, []),
            (NOW + 2, 100, [1]),
            (NOW + 10, 100, [1, 2, 3]),
            (NOW, 2, [1]),
            (NOW, 0, [1, 2, 3]),
            (NOW + 2.5, 1, [1, 2]),
        ],
    )
    def test_jobs_expire_by_age_and_by_number(
        self, store_factory: StoreFactory, before: float, keep: int, expected: list[int]
    ) -> None:
        store = store_factory(NOW)
        completed = JobStatus.COMPLETED
        for row, job in enumerate(
            (
                head("completed", status=completed, finished_at=NOW + 1),
                head("failed", status=JobStatus.FAILED, finished_at=NOW + 2),
                head("gone", ownership=Ownership.GONE, finished_at=NOW + 3),
                head("runs", created_at=NOW - 9),
                head("in-doubt", ownership=Ownership.RELEASED, created_at=NOW - 9),
                head("forgotten", status=completed, finished_at=NOW - 9, ownership=Ownership.FORGOTTEN),
            ),
            start=1,
        ):
            store.commit(started(row, job))

        assert store.expired(before, keep) == expected

    def test_a_failed_job_that_is_retried_no_longer_expires(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        store.commit(started(1, head(status=JobStatus.FAILED, finished_at=NOW)))
        assert store.expired(NOW + 1, 9) == [1]

        store.commit(started(1, head(status=JobStatus.RUNNING)))

        assert store.expired(NOW + 1, 9) == []
