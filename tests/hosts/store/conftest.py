"""Failed assertions of the shared suite show their values like those of any test file."""

import pytest

pytest.register_assert_rewrite("tests.hosts.store.conformance", "tests.hosts.store.conformance_jobs")
