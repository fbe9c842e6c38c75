"""The coverage-guided search, for a few seconds, and every input that it ever failed on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing.coverage_guided import FOUND, found
from tests.fuzzing.decoders import DECODERS, Decoder
from tests.fuzzing.judging import judge_memory

ROOT = Path(__file__).parents[2]
SECONDS = 8


def test_a_short_search_finds_nothing(tmp_path: Path) -> None:
    searched = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing.coverage_guided", str(tmp_path), str(SECONDS)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )
    assert searched.returncode == 0, searched.stderr[-4000:]
    tries = int(searched.stderr.partition("number_of_executed_units:")[2].split()[0])
    assert tries > 20 * len(DECODERS), "it hardly searched"
    kept = int(searched.stderr.partition("new_units_added:")[2].split()[0])
    assert kept > len(DECODERS), "no input reached new code: the decoders aren't instrumented"


def test_a_search_finds_a_defect_that_is_there(tmp_path: Path) -> None:
    """The same command, with a decoder that raises what it isn't documented to raise."""
    code = (
        "import sys, tests.fuzzing.decoders as d\n"
        "d.DECODERS = [d.Decoder('broken', lambda data: {97: 1}[(data + b'a')[0]], (), (b'a',))]\n"
        "from pathlib import Path\n"
        "from tests.fuzzing.coverage_guided import main\n"
        "main(Path(sys.argv[1]), 10)\n"
    )
    searched = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )
    assert searched.returncode != 0
    assert list(tmp_path.glob("crash-*"))


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_what_a_decoder_failed_on_once_is_judged_well(decoder: Decoder) -> None:
    for data in found(decoder.name):
        judge_memory(decoder, data)


def test_every_input_that_was_found_belongs_to_a_decoder() -> None:
    assert FOUND.is_dir()
    assert sum(len(found(decoder.name)) for decoder in DECODERS) == len(list(FOUND.iterdir())) > 0
