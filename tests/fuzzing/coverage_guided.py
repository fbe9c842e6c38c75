"""Coverage-guided fuzzing of every decoder: ``python -m tests.fuzzing.coverage_guided FOLDER SECONDS``.

The first byte of an input chooses the decoder, the rest is what it is given. The engine (libFuzzer, through
Atheris) changes what it has found to reach new lines of the decoders' own code. It begins with the samples
of each and with what was found before (``found/``); what reaches new code is kept in FOLDER. An input that
fails is written there as ``crash-…`` or ``timeout-…``, and the exit code is not 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

FOUND = Path(__file__).parent / "found"
LONGEST = 4096
MEGABYTES = 2048
SECONDS_EACH = 20


def found(name: str) -> list[bytes]:
    """Give the inputs on which a decoder failed once."""
    return [path.read_bytes() for path in sorted(FOUND.glob(f"{name.replace(' ', '_')}@*"))]


def begin(folder: Path, decoders: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    """Write what a search begins with: samples, and what was found before."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, samples) in enumerate(decoders):
        for place, sample in enumerate((*samples, *found(name))):
            (folder / f"begin-{number}-{place}").write_bytes(bytes([number]) + sample)


def main(folder: Path, seconds: int) -> None:
    """Search for so long."""
    with atheris.instrument_imports(include=["sojourn"], enable_loader_override=False):
        from tests.fuzzing.decoders import DECODERS
        from tests.fuzzing.judging import judge

    def try_one(data: bytes) -> None:
        judge(DECODERS[data[0] % len(DECODERS) if data else 0], data[1:])

    begin(folder, [(decoder.name, decoder.samples) for decoder in DECODERS])
    atheris.Setup(
        [
            sys.argv[0], f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SECONDS_EACH}",
            f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={folder}/", "-print_final_stats=1",
            "-verbosity=0", str(folder),
        ],
        try_one,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
