"""The line that a user sees for a training step."""

from recipe.difficulty_calib.progress import step_line


def test_a_grpo_step_shows_reward_confidence_and_evictions():
    line = (
        "(TaskRunnerV1 pid=1) step:3 - training/filter_groups/evicted_samples:2.0 - "
        "training/rollout_actor_probs_pearson_corr:0.9999926 - "
        "reward/total/mean:1.25 - expert/acc:np.float64(0.5)"
    )
    assert step_line(line) == (3, "reward 1.250  accuracy 0.50  evicted 2  rollout~actor 0.99999")


def test_an_sft_step_shows_its_loss():
    assert step_line("step:7 - train/loss:4.2877 - train/lr:0.0005") == (7, "loss 4.2877")


def test_other_lines_show_nothing():
    assert step_line("global_step:3 of something") is None
