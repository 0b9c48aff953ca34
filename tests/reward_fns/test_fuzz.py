"""A hundred seeded cases for each reader of what comes from outside: no error but its own.

Thousands: benchmarks.
"""

import pytest
from fuzz_readers import READERS, check
from hypothesis import HealthCheck, given, seed, settings


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_raises_no_error_but_its_own(reader, tmp_path):
    @seed(14)
    @settings(
        max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(READERS[reader][0])
    def run(drawn):
        check(reader, drawn, tmp_path)

    run()
