"""What every ``Store`` must do with jobs and their rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sojourn.hosts.store.bulk import AT_ONCE
from sojourn.hosts.store.protocol import Store, StoredJob
from sojourn.runtime.errors import NotFound
from sojourn.runtime.job import (
    BlobRow,
    HandoffRow,
    JobStatus,
    Origin,
    Outcome,
    Ownership,
    QuestionRow,
    RoutineCounts,
    StoredMessages,
    Writes,
)
from tests.hosts.store.rows import (
    DIGEST,
    FLOW,
    NOW,
    entry,
    head,
    line,
    message,
    started,
    whole_image,
    writes_of,
)

StoreFactory = Callable[[float], Store]
"""Opens the one store of a test at a wall-clock time; what was open of it before is closed."""


class JobConformance:
    """Inherited together with a fixture ``store_factory``."""

    def test_a_whole_job_comes_back_from_a_store_that_was_opened_anew(
        self, store_factory: StoreFactory
    ) -> None:
        image = whole_image(3)
        store_factory(NOW).commit(writes_of(3, image))

        assert store_factory(NOW).read_image(3) == image

    def test_rows_change_and_go_in_the_rounds_after(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        store.commit(writes_of(3, whole_image(3)))

        writes = Writes()
        writes.messages_changed = [(4, 3, NOW + 5, b"progress", 3, 4)]
        writes.messages_deleted = [(3, 5)]
        writes.messages_put = [message(3, 7)]
        writes.attributes = {(3, "load", "", "a"): None, (3, "load", "", "c"): b"new"}
        writes.shared = {(3, "k"): None, (3, "l"): b"changed"}
        writes.questions_deleted = [(3, "q1")]
        writes.heads[3] = head("whole", status=JobStatus.COMPLETED)
        store.commit(writes)

        image = store.read_image(3)
        assert [row.message for row in image.messages] == [4, 6, 7]
        assert image.messages[0] == message(
            3, 4, routine="parse", slot="input", data=b"four", attempts=4, retry_count=3, due=NOW + 5,
            progress=b"progress",
        )
        assert [(row.key, row.name, row.value) for row in image.attributes] == [
            ("", "c", b"new"), ("key", "a", b"2"), ("", "b", b"3"),
        ]
        assert [(row.key, row.value) for row in image.shared] == [("l", b"changed")]
        assert [row.question for row in image.questions] == ["q2"]
        assert image.head == head("whole", status=JobStatus.COMPLETED)

    def test_jobs_are_read_together_as_each_by_itself(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        rows = range(1, AT_ONCE + 20)
        writes = started(1)
        writes.heads = {row: head(f"job-{row}") for row in rows}
        store.commit(writes)
        whole = whole_image(3)
        whole.blobs = [BlobRow(3, "ab" * 32, 100_000)]
        store.commit(writes_of(3, whole))
        writes = Writes()
        writes.messages_put = [message(5, 4), message(AT_ONCE + 5, 2)]
        writes.history = [entry(5, 6, message=5, origin=8), entry(5, 7, message=3, final=0)]
        writes.questions_put = [QuestionRow(9, "q", 8, "load", "page", "?", NOW, None)]
        store.commit(writes)
        looked_at = [*rows[:10], *rows[-20:]]

        found = {job.row: job for job in store.read_jobs(rows)}

        assert list(found) == list(rows)
        for row in looked_at:
            image = store.read_image(row, history=1, logs=False)
            assert found[row] == StoredJob(row, image, store.last_numbers(row)[:2])
        assert list(store.read_jobs([9, AT_ONCE * 3])) == [found[9]]
        assert list(store.read_jobs([])) == []

    def test_a_cleared_job_keeps_its_head_and_handoffs_and_touches_no_other(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        store.commit(writes_of(3, whole_image(3)))
        other = whole_image(4)
        other.head.job_id = "other"
        store.commit(writes_of(4, other))
        handoff = HandoffRow("m", "source", "gone", "whole", "instance", 3, "b", b"record")
        writes = Writes()
        writes.handoffs_put["source:m"] = handoff
        store.commit(writes)

        writes = Writes()
        writes.jobs_cleared = [3]
        store.commit(writes)

        image = store.read_image(3)
        assert image.head == whole_image(3).head
        assert not any(
            (image.messages, image.history, image.attributes, image.shared, image.questions,
             image.logs, image.blobs, image.counts)
        )
        assert store.history_total(3) == 0
        assert store.handoffs() == [handoff]
        assert store.read_image(4) == other

    def test_a_round_clears_a_job_before_it_puts_rows_of_it(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        store.commit(writes_of(3, whole_image(3)))
        store.counts(3)

        again = whole_image(3)
        again.history = [entry(3, 1, outcome=int(Outcome.SKIPPED), retry_count=0)]
        again.counts = {"load": RoutineCounts(0, 0, 1, 0)}
        again.origins = {7: again.origins[7]}
        again.messages = [message(3, 9)]
        writes = writes_of(3, again)
        writes.jobs_cleared = [3]
        store.commit(writes)

        assert store.read_image(3) == again

    def test_live_jobs_are_owned_and_not_finished(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        for row, status in enumerate(
            (JobStatus.QUEUED, JobStatus.COMPLETED, JobStatus.PAUSED, JobStatus.FAILED,
             JobStatus.BLOCKED, JobStatus.CANCELLED, JobStatus.RUNNING), start=1,
        ):
            store.commit(started(row, head(f"job-{row}", status=status)))
        for row, ownership in enumerate(
            (Ownership.RELEASED, Ownership.GONE, Ownership.FORGOTTEN), start=8
        ):
            store.commit(started(row, head(f"job-{row}", ownership=ownership)))

        assert store.live_jobs() == [1, 3, 5, 7]

        store.commit(started(3, head("job-3", ownership=Ownership.RELEASED)))
        store.commit(started(5, head("job-5", status=JobStatus.COMPLETED)))

        assert store.live_jobs() == [1, 7]

    def test_heads_are_listed_newest_first_without_forgotten_ones(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        for row in (1, 2, 3):
            store.commit(started(row))
        store.commit(started(2, head("job-2", ownership=Ownership.FORGOTTEN)))

        assert store.heads() == [(3, head("job-3")), (1, head("job-1"))]
        assert store.head(2) == head("job-2", ownership=Ownership.FORGOTTEN)
        assert store.head(4) is None

    def test_a_job_is_found_by_its_id_alone_even_if_others_begin_so(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        store.commit(started(1, head("ab")))
        store.commit(started(2, head("abc")))

        assert store.find("ab") == [(1, head("ab"))]
        assert store.by_job_id("ab") == (1, head("ab"))
        assert store.by_job_id("a") is None

    def test_a_forgotten_job_is_found_by_its_whole_id_only(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        tombstone = head("abc", ownership=Ownership.FORGOTTEN)
        store.commit(started(1, tombstone))

        assert store.find("abc") == [(1, tombstone)]
        assert store.by_job_id("abc") == (1, tombstone)
        assert store.find("ab") == []

    def test_a_prefix_finds_at_most_ten_jobs(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        for row in range(1, 13):
            store.commit(started(row, head(f"ab-{row:02}")))
        store.commit(started(13, head("b")))

        found = store.find("ab")
        assert len(found) == 10
        assert all(job.job_id.startswith("ab") for _, job in found)
        assert [row for row, _ in store.find("ab-1")] == [12, 11, 10]

    @pytest.mark.parametrize("name", ["%", "_", "*", "?", "a%", "AB", "\N{GREEK SMALL LETTER ALPHA}"])
    def test_a_prefix_means_itself_and_no_pattern(self, store_factory: StoreFactory, name: str) -> None:
        store = store_factory(NOW)
        store.commit(started(1, head("ab")))

        assert store.find(name) == []

    def test_a_row_number_is_never_given_twice(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        assert store.next_row() == 1
        store.commit(started(1))
        store.commit(started(5))
        writes = started(5, head("job-5", ownership=Ownership.FORGOTTEN))
        writes.jobs_cleared = [5]
        store.commit(writes)

        assert store.next_row() == 6
        assert store_factory(NOW).next_row() == 6

    def test_an_unknown_row_has_no_image(self, store_factory: StoreFactory) -> None:
        with pytest.raises(NotFound):
            store_factory(NOW).read_image(9)

    def test_a_flow_is_kept_once_and_found_by_its_digest(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        store.commit(started(1))
        store.commit(started(2))

        assert store.flow(DIGEST) == FLOW
        assert store.flow("sha256:other") is None


class RowConformance:
    """Inherited together with a fixture ``store_factory``."""

    @pytest.mark.parametrize(
        ("history", "after", "expected"),
        [
            (None, None, [1, 2, 3, 4, 5]),
            (2, None, [4, 5]),
            (9, None, [1, 2, 3, 4, 5]),
            (0, None, []),
            (2, 2, [3, 4]),
            (None, 3, [4, 5]),
            (2, 0, [1, 2]),
            (2, 5, []),
            (0, 2, []),
        ],
    )
    def test_history_is_read_in_pages(
        self, store_factory: StoreFactory, history: int | None, after: int | None, expected: list[int]
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.origins_put[7] = Origin("a", 1, "code")
        writes.history = [entry(1, sequence) for sequence in range(1, 6)]
        store.commit(writes)

        image = store.read_image(1, history=history, after=after)

        assert [row.sequence for row in image.history] == expected
        assert image.counts == {"load": RoutineCounts(5, 0, 0, 0)}
        assert store.history_total(1) == 5

    @pytest.mark.parametrize("rows", [1, 4, 63, 64, 85, 213])
    def test_a_round_of_any_size_comes_back_as_it_was_put(
        self, store_factory: StoreFactory, rows: int
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.origins_put[7] = Origin("a", 1, "code")
        numbers = range(1, rows + 1)
        writes.messages_put = [message(1, number, data=b"%d" % number) for number in numbers]
        writes.history = [entry(1, number, ended=NOW + number) for number in numbers]
        messages, history = list(writes.messages_put), list(writes.history)
        store.commit(writes)

        image = store.read_image(1)
        assert image.messages == messages
        assert image.history == history

    def test_rows_of_all_kinds_come_back_out_of_one_round(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.origins_put[7] = Origin("a", 1, "code")
        writes.messages_put = [
            message(1, 1), message(1, 2, attempts=1), message(1, 3, due=None),
            message(1, 4, due=NOW + 5.0), message(1, 5, progress=b"\x80"), message(1, 6),
        ]
        writes.history = [
            entry(1, 1), entry(1, 2, attempt=2), entry(1, 3, outcome=int(Outcome.FAILED), final=0),
            entry(1, 4, retry_count=1), entry(1, 5, error=b"\x90"), entry(1, 6),
        ]
        messages, history = list(writes.messages_put), list(writes.history)
        store.commit(writes)

        image = store.read_image(1)
        assert image.messages == messages
        assert image.history == history

    def test_rows_of_several_jobs_and_routines_come_back_out_of_one_round(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = Writes()
        for row in (1, 2):
            one = started(row)
            writes.heads |= one.heads
            writes.flows_put |= one.flows_put
        writes.origins_put[7] = Origin("a", 1, "code")
        writes.messages_put = [
            message(row, number, routine=("load", "parse")[number % 3 == 0], data=b"%d" % row)
            for number in range(1, 40) for row in (1, 2)
        ]
        writes.history = [entry(row, number, ended=NOW + row) for number in range(1, 40) for row in (1, 2)]
        messages, history = list(writes.messages_put), list(writes.history)
        store.commit(writes)

        for row in (1, 2):
            image = store.read_image(row)
            assert image.messages == [put for put in messages if put.job == row]
            assert image.history == [put for put in history if put.job == row]

    def test_only_the_messages_that_ended_go(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.heads |= started(2).heads
        writes.messages_put = [message(row, number) for row in (1, 2) for number in range(1, 13)]
        store.commit(writes)

        writes = Writes()
        writes.messages_deleted = [
            (1, 2), (1, 3), (1, 4), (2, 5), (2, 6), (1, 7), (1, 6), (2, 8), (1, 9), (1, 20), (1, 12),
        ]
        store.commit(writes)
        assert [row.message for row in store.read_image(1).messages] == [1, 5, 8, 10, 11]
        assert [row.message for row in store.read_image(2).messages] == [1, 2, 3, 4, 7, 9, 10, 11, 12]

    def test_many_heads_come_back_out_of_one_round(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        statuses = [JobStatus.QUEUED, JobStatus.COMPLETED, JobStatus.RUNNING]
        for shift in (0, 1):
            writes = started(1)
            writes.heads = {
                row: head(f"job-{row}", status=statuses[(row + shift) % 3]) for row in range(1, 101)
            }
            heads = dict(writes.heads)
            store.commit(writes)
            assert dict(store.heads()) == heads
            assert store.live_jobs() == [row for row, put in heads.items() if not put.status.finished]

    def test_pending_messages_are_limited_to_the_oldest(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.messages_put = [message(1, number) for number in (9, 3, 6)]
        store.commit(writes)

        assert [row.message for row in store.read_image(1, pending=2).messages] == [3, 6]
        assert store.read_image(1, pending=0).messages == []
        assert [row.message for row in store.read_image(1).messages] == [3, 6, 9]
        assert store.pending_total(1) == 3

    def test_a_mailbox_is_its_oldest_messages_those_that_were_tried_and_a_count_of_the_rest(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        fresh = message(1, 1)._replace(attempts=0, retry_count=0, due=0.0, progress=None, data=b"\x80")
        rows = {number: fresh._replace(message=number) for number in (2, 3, 4, 6, 8, 9, 12, 13)}
        rows[4] = rows[4]._replace(attempts=1, due=5.0)
        rows[6] = rows[6]._replace(progress=b"\x80")
        rows[8] = rows[8]._replace(due=None)
        rows[9] = rows[9]._replace(routine="other", data=b"\x81\xa1n\x01")
        writes.messages_put = [*rows.values(), *(row._replace(job=2) for row in rows.values())]
        store.commit(writes)

        messages, stored = store.mailboxes(1, 2)
        assert messages == [rows[number] for number in (2, 3, 4, 6, 8)]
        assert stored == [
            StoredMessages(fresh.routine, 12, 2, 2), StoredMessages("other", 9, 1, 4)
        ]
        assert store.mailboxes(1, 9) == ([rows[number] for number in sorted(rows)], [])
        assert store.staged_rows(1, 2)[0] == messages
        assert store.staged_rows(1, 2).stored == stored

        (job,) = store.read_jobs([1], 1)
        assert isinstance(job, StoredJob)
        assert job.image.messages == [rows[number] for number in (2, 4, 6, 8)]
        assert job.stored == [
            StoredMessages(fresh.routine, 3, 3, 3), StoredMessages("other", 9, 1, 4)
        ]
        assert job.numbers[0] == 13
        assert store.waiting_messages(1, fresh.routine, 3, 2) == [rows[3], rows[12]]
        assert store.waiting_messages(1, "other", 3, 2) == [rows[9]]
        assert store.messages_from(1, 4, 3) == [rows[4], rows[6], rows[8]]
        assert store.message_numbers(1) == sorted(rows)
        assert store.message_numbers(3) == []

    def test_as_many_messages_are_read_of_a_job_whichever_jobs_are_read_with_it(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.heads = {row: head(f"job-{row}") for row in (1, 2, 3)}
        fresh = message(1, 1)._replace(attempts=0, retry_count=0, due=0.0, progress=None)
        writes.messages_put = [
            fresh._replace(job=row, message=number, routine=("load", "page")[number % 2])
            for row, most in ((1, 9), (2, 3), (3, 40)) for number in range(1, most + 1)
        ]
        writes.messages_changed = [(1, 1, 5.0, None, 1, 7)]
        store.commit(writes)

        for pending in range(1, 45):
            for rows in ([1], [2], [3], [1, 2], [1, 2, 3]):
                for job in store.read_jobs(rows, pending):
                    assert isinstance(job, StoredJob)
                    assert (job.image.messages, job.stored) == store.mailboxes(job.row, pending)
                    assert job.numbers == store.last_numbers(job.row)[:2]

    def test_the_highest_retry_count_is_told_for_messages_beyond_a_page_too(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.messages_put = [
            message(1, 1, retry_count=1), message(1, 2), message(1, 3, retry_count=4),
            message(1, 4, routine="parse"),
        ]
        store.commit(writes)

        assert store.pending_retries(1) == {"load": 4, "parse": 0}
        assert store.pending_retries(2) == {}

    def test_an_image_names_the_origins_of_its_own_entries_only(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        writes = started(1)
        one, two = Origin("a", 1, "one"), Origin("b", 2, "two")
        writes.origins_put = {7: one, 8: two}
        writes.history = [entry(1, 1, origin=7), entry(1, 2, origin=8)]
        store.commit(writes)

        assert store.read_image(1, history=1).origins == {8: two}
        assert store.read_image(1, history=0).origins == {}
        assert store.origins() == {7: one, 8: two}

    def test_counts_are_of_ended_messages_and_keep_up_with_every_commit(
        self, store_factory: StoreFactory
    ) -> None:
        store = store_factory(NOW)
        failed, skipped = int(Outcome.FAILED), int(Outcome.SKIPPED)
        writes = started(1)
        writes.history = [
            entry(1, 1, outcome=failed, final=0, retry_count=1),
            entry(1, 2, outcome=failed, final=1, retry_count=1),
            entry(1, 3, outcome=int(Outcome.INTERRUPTED), final=0, routine="parse"),
        ]
        store.commit(writes)
        assert store.counts(1) == {"load": RoutineCounts(0, 1, 0, 1)}
        assert store.history_total(1) == 3

        writes = Writes()
        writes.history = [
            entry(1, 4, outcome=skipped, retry_count=5),
            entry(1, 5, retry_count=3),
            entry(1, 6, routine="parse"),
            entry(1, 7, outcome=failed, final=0, retry_count=9),
        ]
        store.commit(writes)

        expected = {"load": RoutineCounts(1, 1, 1, 3), "parse": RoutineCounts(1, 0, 0, 0)}
        assert store.counts(1) == expected
        assert store.history_total(1) == 7
        assert store_factory(NOW).counts(1) == expected

    def test_counts_of_one_job_know_nothing_of_another(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        for row in (1, 2):
            store.commit(started(row))
        writes = Writes()
        writes.history = [entry(1, 1), entry(2, 1), entry(2, 2)]
        store.commit(writes)

        assert (store.counts(1)["load"].succeeded, store.counts(2)["load"].succeeded) == (1, 2)
        assert store.counts(3) == {}

    def test_the_highest_numbers_come_from_whatever_used_them(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        store.commit(started(1))
        assert store.last_numbers(1) == (0, 0, 0)

        writes = Writes()
        writes.messages_put = [message(1, 4)]
        writes.history = [entry(1, 6, message=5)]
        writes.logs = [line(1, 2)]
        store.commit(writes)
        assert store.last_numbers(1) == (5, 6, 2)

        writes = Writes()
        writes.questions_put = [QuestionRow(1, "q", 8, "load", "page", "?", NOW, None)]
        store.commit(writes)
        assert store.last_numbers(1) == (8, 6, 2)

    def test_a_log_is_read_on_from_where_it_was_left(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        writes = started(1)
        writes.logs = [line(1, number) for number in range(1, 6)]
        store.commit(writes)

        assert store.logs(1, 2, 2) == [line(1, 3), line(1, 4)]
        assert store.logs(1, 5, 2) == []
        assert store.read_image(1, logs=False).logs == []

    @pytest.mark.parametrize("batch", [700, 2_500])
    def test_a_log_keeps_its_newest_ten_thousand_lines_at_most(
        self, store_factory: StoreFactory, batch: int
    ) -> None:
        store = store_factory(NOW)
        store.commit(started(1))
        last = 0
        for _ in range(25_000 // batch):
            writes = Writes()
            writes.logs = [line(1, number) for number in range(last + 1, last + batch + 1)]
            writes.logs.append(line(2, last // batch + 1))
            store.commit(writes)
            last += batch
            kept = store.logs(1, 0, 20_000)
            assert min(last, 8_000) <= len(kept) <= 10_000
            assert kept[-1].sequence == last
        assert len(store.logs(2, 0, 20_000)) == 25_000 // batch

    def test_blobs_are_referred_to_until_their_job_is_cleared(self, store_factory: StoreFactory) -> None:
        store = store_factory(NOW)
        first, second = whole_image(1), whole_image(2)
        second.head.job_id = "second"
        second.blobs = second.blobs[1:]
        store.commit(writes_of(1, first))
        store.commit(writes_of(2, second))
        assert set().union(*store.blob_references().values()) == {"aa", "bb"}
        assert store.job_blobs(1) == [("aa", 100_000), ("bb", 70_000)]

        writes = Writes()
        writes.jobs_cleared = [1]
        store.commit(writes)

        assert set().union(*store.blob_references().values()) == {"bb"}
        assert store.job_blobs(1) == []
