"""Ten thousand cases for each reader of what comes from outside: no error but its own.

By hand, some minutes.
"""

import pytest
from fuzz_readers import READERS, check
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_raises_no_error_but_its_own(reader, tmp_path):
    @settings(
        max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(READERS[reader][0])
    def run(drawn):
        check(reader, drawn, tmp_path)

    run()
