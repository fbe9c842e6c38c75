"""An actor process in an interpreter of its own: ``python -m sojourn.actors.zygote.fresh SETUP``."""

from __future__ import annotations

import base64
import os
import sys

import msgspec

from sojourn.actors.classes import LoadedClasses
from sojourn.actors.process.main import run_process
from sojourn.actors.zygote.fork import FreshSetup
from sojourn.actors.zygote.imports import Allowance, load_flow
from sojourn.actors.zygote.kernel import die_with_parent
from sojourn.runtime.flow import decode_flow


def main(argument: str) -> None:
    """Import the flow and run one routine."""
    setup = msgspec.msgpack.decode(base64.b64decode(argument), type=FreshSetup)
    die_with_parent(setup.parent)
    if os.read(setup.gate, 1) != b"g":
        return
    sys.path[:0] = setup.zygote.paths
    allowance = Allowance(setup.zygote.paths, setup.zygote.allow)
    flow = decode_flow(setup.fork.flow)
    loaded = load_flow(flow, allowance, LoadedClasses(allowance.permits_loaded))
    run_process(setup.fork, loaded[setup.fork.routine], setup.code, flow.id)


if __name__ == "__main__":
    main(sys.argv[1])
