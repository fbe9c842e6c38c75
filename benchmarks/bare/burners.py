"""Processes that do nothing but use the processor: what the cores of this machine allow.

``python -m benchmarks.bare.burners`` is one: for every line ``COUNT SECONDS`` on stdin it burns that often
that long, and prints a line.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.flows.burning import burn


class Burners:
    """One process per core.

    Args:
        cores: how many.
    """

    def __init__(self, cores: int) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bare.burners"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(cores)
        ]
        self.run(cores, 0.0)

    def run(self, count: int, seconds: float) -> float:
        """Burn ``count`` times, shared evenly; give how many seconds it took."""
        begun = time.perf_counter()
        for place, process in enumerate(self._processes):
            share = count // len(self._processes) + (place < count % len(self._processes))
            assert process.stdin is not None
            process.stdin.write(f"{share} {seconds}\n")
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()
        return time.perf_counter() - begun

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate()


def main() -> None:
    """Burn as told."""
    for line in iter(sys.stdin.readline, ""):
        count, seconds = line.split()
        for _ in range(int(count)):
            burn(float(seconds))
        print(flush=True)


if __name__ == "__main__":
    main()
