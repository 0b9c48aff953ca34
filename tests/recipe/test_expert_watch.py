"""What the trainer makes of the reward workers' reports."""

import json

import pytest

from recipe.difficulty_calib.expert_watch import REPORT_KEY, ExpertFailureError, ExpertWatch, report
from reward_fns.claims import parse_response
from reward_fns.expert import Stats, make_expert
from reward_fns.judging import JudgedResponse


def reward(worker="a", failed=0.0, fatal=None, **totals):
    told = {"worker": worker, "fatal": fatal, "totals": {"asked": 1, "calls": 0} | totals}
    return {"expert_failed": failed, REPORT_KEY: json.dumps(told)}


def watch(tolerated=0.05, window=100, at_least=4):
    return ExpertWatch(tolerated, window, at_least)


def test_counts_of_a_step_are_what_the_workers_totals_have_grown_by():
    seen = watch()
    seen.see(
        [reward("a", calls=3), reward("b", calls=10), reward("a", calls=5), reward("a", calls=4)],
        training=True,
    )
    assert seen.counts_since_last() == {"expert/asked": 2, "expert/calls": 15}
    seen.see([reward("a", calls=9)], training=True)
    assert seen.counts_since_last() == {"expert/asked": 0, "expert/calls": 4}
    assert seen.totals()["calls"] == 19


def test_an_expert_that_keeps_no_counts_draws_no_curves():
    seen = watch()
    seen.see([reward(asked=0)], training=True)
    assert seen.counts_since_last() == {}


def test_more_failures_than_tolerated_end_the_run_once_a_step_s_rollouts_are_seen():
    seen = watch(tolerated=0.25)
    seen.see([reward(failed=1.0)], training=True)  # one of one, but fewer than four were seen
    seen.see([reward()] * 3, training=True)  # 1 of 4 is tolerated
    with pytest.raises(ExpertFailureError, match=r"no verdict for 40\.0% of the last 5 rollouts"):
        seen.see([reward(failed=1.0)], training=True)


def test_only_the_last_of_a_window_count_and_validation_does_not():
    seen = watch(tolerated=0.25, window=4)
    seen.see([reward(failed=1.0)] + [reward()] * 3, training=True)
    seen.see([reward(failed=1.0)] * 9, training=False)
    seen.see([reward(), reward(failed=1.0)], training=True)  # the first failure has left the window
    with pytest.raises(ExpertFailureError):
        seen.see([reward(failed=1.0)], training=True)


def test_an_expert_that_cannot_be_asked_any_more_ends_the_run_at_once_with_its_message():
    with pytest.raises(ExpertFailureError, match="set the environment variable JUDGE_KEY"):
        watch().see([reward(fatal="set the environment variable JUDGE_KEY")], training=False)


def test_a_reward_s_report_holds_the_counts_of_its_process_and_the_fatal_error_only():
    expert = make_expert({"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:9/v1"})
    expert.stats.calls = 7
    parsed = parse_response("1. A. I'm sure.\nConfidence: 1")
    told = json.loads(report(expert, JudgedResponse(parsed, None, "a timeout")))
    assert (told["fatal"], told["totals"]) == (None, Stats(calls=7).totals())
    told = json.loads(
        report(make_expert("oracle"), JudgedResponse(parsed, None, "no key", fatal=True))
    )
    assert (told["fatal"], told["totals"]) == ("no key", Stats().totals())
