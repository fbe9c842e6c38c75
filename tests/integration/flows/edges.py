"""Flows of one routine each, by act."""

from __future__ import annotations

from edge_errors import Unlucky
from edge_steps import Edge, LaterWithoutInit, Mute

from sojourn import ErrorHandler, ErrorStrategy, Flow


def _flow(act: str, *retried: type[Exception]) -> Flow:
    flow = Flow(act)
    flow.add_routine(
        Edge(act), "edge",
        error_handler=ErrorHandler(
            ErrorStrategy.RETRY, max_retries=1, retry_delay=0.01, retryable_exceptions=retried
        ),
    )
    return flow


unlucky = _flow("unlucky", Unlucky)
later = _flow("later", LaterWithoutInit)
mute = _flow("mute", Mute)
status = _flow("status", ValueError)
forks = _flow("forks")
imports = _flow("imports")
signals = _flow("signals")
logs = _flow("logs")
