"""How long and how often a request is tried."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from reward_fns.expert.errors import ExpertError, TransientError
from reward_fns.expert.serving.retry import Patience, persist, retry_after_seconds

NOW = datetime(2026, 10, 21, 7, 28, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_an_http_date(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds


def attempts(patience, *outcomes):
    """Run attempts that raise or return the outcomes in turn;
    their moments, what was told, and how it ended.
    """
    moments, told, left = [], [], list(outcomes)

    async def attempt():
        moments.append(time.monotonic())
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run():
        return await persist(attempt, patience, told.append)

    try:
        end = asyncio.run(run())
    except ExpertError as error:
        end = error
    return moments, told, end


def test_a_request_is_tried_until_it_succeeds_and_each_failure_before_that_is_told():
    errors = [TransientError("a", "429"), TransientError("b", "5xx")]
    moments, told, end = attempts(Patience(backoff=0.0), *errors, "verdict")
    assert (len(moments), told, end) == (3, errors, "verdict")


def test_the_last_failure_is_the_outcome_when_the_retries_are_used_up():
    errors = [TransientError(str(i), "429") for i in range(3)]
    moments, told, end = attempts(Patience(max_retries=2, backoff=0.0), *errors)
    assert (len(moments), told, end) == (3, errors[:2], errors[2])


def test_other_errors_are_not_tried_again():
    refused = ExpertError("no", "refused")
    moments, told, end = attempts(Patience(), refused, "verdict")
    assert (len(moments), told, end) == (1, [], refused)


def test_a_wait_that_the_server_asks_for_is_kept():
    moments, _, end = attempts(
        Patience(backoff=0.01), TransientError("a", "429", retry_after=0.2), "verdict"
    )
    assert end == "verdict" and moments[1] - moments[0] >= 0.2


def test_no_wait_is_begun_that_would_end_after_the_deadline():
    late = TransientError("a", "429", retry_after=60.0)
    moments, told, end = attempts(Patience(deadline=5.0), late, "verdict")
    assert (len(moments), told, end) == (1, [], late)


def test_an_attempt_that_reaches_the_deadline_is_broken_off():
    async def for_ever():
        await asyncio.sleep(60)

    with pytest.raises(TransientError, match="within the deadline of 0.1 s") as error:
        asyncio.run(persist(for_ever, Patience(deadline=0.1), lambda error: None))
    assert error.value.reason == "deadline"


@pytest.mark.parametrize(
    "wrong", [{"max_retries": -1}, {"backoff": -1}, {"longest_wait": -1}, {"deadline": 0}]
)
def test_wrong_limits_are_refused(wrong):
    with pytest.raises(ValueError, match="retries need"):
        Patience(**wrong)
