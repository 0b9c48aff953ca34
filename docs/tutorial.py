# %% [markdown]
# # From a response to a calibrated confidence
#
# Parse a response, let an expert judge it, score it, see on many answers whether the stated
# confidences can be believed, and mend them without training. Everything runs on a CPU in well
# under a minute. The answers are drawn, not a model's: so it is known how sure the answerer
# should have been.

# %%
import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from eval.figures.reliability import draw_reliability
from eval.numbers.summarise import POOLED, summarise
from eval.posthoc.fit import fit
from eval.records import AnswerRecord
from reward_fns.claims import Claim, parse_response, render_response
from reward_fns.difficulty import Coefficients
from reward_fns.reward import DifficultyReward
from reward_fns.sample import Sample
from reward_fns.scoring import score

OUT = Path(os.environ.get("TUTORIAL_OUT", "outputs/tutorial"))
"""Where the figure and the fitted map go."""

# %% [markdown]
# ## Parse
#
# A response is a list of claims, each tagged, and one number. What does not have this form has
# defects, by name; the reward pays such a response the least.

# %%
response = "1. The digit is 7. I'm sure.\n2. It is red. I'm not sure.\nConfidence: 0.7"
parsed = parse_response(response)
print([(claim.text, claim.sure) for claim in parsed.claims], parsed.confidence)
print("without a number:", parse_response("1. The digit is 7. I'm sure.").defects)

# %% [markdown]
# ## Score
#
# Say that an expert found the first claim right, the second wrong, and so the answer wrong as a
# whole. Algorithm 1 (`paper`) and its proper twin pay this; `score` is pure, so try other numbers.

# %%
coefficients = Coefficients(alpha=1, beta=1, gamma=1, delta=1)
for rule in ("paper", "proper"):
    terms = score(
        parsed, claim_labels=[1, 0], overall_label=0.0, coefficients=coefficients, rule=rule
    )
    print(f"{rule:7} {terms.total:.2f}  {terms}")

# %% [markdown]
# In training an expert finds the labels. The oracle reads them from a ground truth that lists
# every fact; for real data name a judge: `expert={"kind": "openai", "model": "gpt-4o"}`.

# %%
truth = json.dumps({"task": "QA", "facts": ["The digit is 7."]})
reward = DifficultyReward(expert="oracle", rule="proper", coefficients="fixed")
sample = Sample("my-digits", "Which digit?", "QA", truth)
print(asyncio.run(reward.score("1. The digit is 7. I'm sure.\nConfidence: 0.9", sample)))

# %% [markdown]
# ## Many answers
#
# An answerer that is right with chance p and says (1 + p) / 2: it is over-confident, the more so
# the less it knows. Each answer goes through the same parser and the same expert.


# %%
def drawn_answer(number: int, rng: np.random.Generator) -> AnswerRecord:
    """One question about a 7, answered, judged and kept as evaluation keeps it."""
    chance = rng.uniform(0.2, 0.9)
    digit = 7 if rng.uniform() < chance else 1
    stated = round((1 + chance) / 2, 1)
    text = render_response([Claim(f"The digit is {digit}.", sure=True)], stated)
    values = asyncio.run(reward.score(text, sample))
    return AnswerRecord(
        model="answerer",
        protocol="verbal",
        dataset=sample.dataset,
        task=sample.task,
        question_id=f"q{number}",
        question=sample.question,
        image_id=f"im{number}",
        entity="",
        response=text,
        correct=values["acc"],
        well_formed=bool(values["well_formed"]),
        expert="oracle",
        confidence=parse_response(text).confidence,
    )


rng = np.random.default_rng(0)
answers = [drawn_answer(number, rng) for number in range(600)]
seen, held_out = answers[:300], answers[300:]

# %% [markdown]
# ## The reliability diagram
#
# Bars under the diagonal: it says more than it knows. The ECE is the mean distance from it.

# %%
before = summarise(held_out, ("ece", "ece_debiased", "auroc", "brier"))
ece, low, high, _ = before.measured("ece")
print(f"ECE {ece:.3f} [{low:.3f}, {high:.3f}], AUROC {before.value('auroc'):.3f}")

# %% [markdown]
# ## Calibrate post hoc
#
# A map from stated to true chance, fitted on answers that the measurement never sees. The order
# of the answers stays, so AUROC can hardly move: a map makes numbers true, it does not make them
# know more.

# %%
calibrator = fit("isotonic", seen, {"model": "answerer", "protocol": "verbal"})


def calibrated(record: AnswerRecord) -> AnswerRecord:
    """The same answer with the confidence that the map gives it."""
    confidence = record.confidence
    assert confidence is not None
    return replace(record, model="answerer, isotonic", confidence=calibrator.apply(confidence))


mapped = [calibrated(record) for record in held_out]
after = summarise(mapped, ("ece", "ece_debiased", "auroc", "brier"))
print(f"ECE {after.value('ece'):.3f}, AUROC {after.value('auroc'):.3f}")
print("of 0.7 it makes", calibrator.apply(0.7))

# %%
OUT.mkdir(parents=True, exist_ok=True)
shown = {"answerer": held_out, "answerer, isotonic": mapped}
cells = {"answerer": {POOLED: before}, "answerer, isotonic": {POOLED: after}}
draw_reliability(OUT / "reliability.png", shown, cells, "verbal", "300 drawn answers")
print(f"the diagram: {OUT / 'reliability.png'}")

# %% [markdown]
# ## Next
#
# Your own [dataset](own_dataset.md), [expert](own_expert.md), [reward rule](own_reward_rule.md)
# and [protocol](own_protocol.md). A whole training on the pocket model:
# `bash examples/run_llava_grpo.sh`.
