"""An actor process in an interpreter of its own: ``python -m sojourn.actors.zygote.fresh < SETUP``."""

from __future__ import annotations

import sys
import traceback

import msgspec

from sojourn.actors.classes import LoadedClasses
from sojourn.actors.process.main import run_process
from sojourn.actors.zygote.fork import FreshSetup, close_input, leave, pass_gate
from sojourn.actors.zygote.imports import Allowance, load_flow
from sojourn.actors.zygote.kernel import die_with_parent
from sojourn.runtime.flow import decode_flow


def main() -> None:
    """Import the flow and run one routine."""
    setup = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=FreshSetup)
    die_with_parent(setup.parent)
    close_input()
    if not pass_gate(setup.gate):
        return
    sys.path[:0] = setup.zygote.paths
    sys.argv = ["sojourn-actor"]
    allowance = Allowance(setup.zygote.paths, setup.zygote.allow)
    flow = decode_flow(setup.fork.flow)
    loaded = load_flow(flow, allowance, LoadedClasses(allowance.permits_loaded))
    run_process(setup.fork, loaded[setup.fork.routine], setup.code, flow.id)


if __name__ == "__main__":
    status = 1
    try:
        main()
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is: it is printed, and the process ends
        traceback.print_exc(file=sys.__stderr__)
    finally:
        leave(status)
