"""Whatever comes in, every decoder refuses it in the documented way or takes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing.decoders import DECODERS, Decoder
from tests.fuzzing.judging import judge, judge_memory
from tests.fuzzing.mutations import CLAIMS, DEPTHS, inputs

each_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)

DEEP = 50_000


@each_decoder
def test_what_is_valid_is_taken(decoder: Decoder) -> None:
    assert [judge(decoder, sample) for sample in decoder.samples] == [True] * len(decoder.samples)


@each_decoder
@given(data=st.data())
@settings(max_examples=60)
def test_whatever_comes_is_refused_or_taken(decoder: Decoder, data: st.DataObject) -> None:
    judge(decoder, data.draw(inputs(decoder), label=decoder.name))


@each_decoder
def test_a_length_that_is_only_claimed_takes_no_memory(decoder: Decoder) -> None:
    sample = decoder.samples[0]
    for claim in CLAIMS:
        for place in {0, 1, len(sample) // 2, len(sample)}:
            tried = sample[:place] + claim + sample[place + 1 :]
            judge_memory(decoder, tried)


@each_decoder
def test_what_nests_without_end_is_refused_in_bounded_memory(decoder: Decoder) -> None:
    for opening in DEPTHS:
        judge_memory(decoder, opening * DEEP)
