"""The examples, as their docstrings tell to run them, on hosts that lose processes and exchange jobs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from sojourn.actors.loading import load_flow
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, pair_hosts
from tests.waiting import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
