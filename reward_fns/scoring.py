"""Algorithm 1, the difficulty-guided reward, as a pure function, and its proper twins.

A response to a question of dataset d holds N claims (c_i, s_i), s_i = 1 for "I'm sure" and 0 for
"I'm not sure", and an overall confidence o in [0, 1]. The expert labels each claim, chat_i in {0,
1}, and the whole answer, o_expert in [0, 1] (0 or 1 for QA; for Detail it may be graded). The
coefficients alpha, beta, gamma, delta >= 0 belong to d.

    factuality  =  alpha * (1/N) * sum_i chat_i
    alignment   =  beta  * (1/N) * sum_i m_i            m_i = 1 - |chat_i - s_i|
    consistency =  gamma * cons
    penalty     = -delta * loss
    total       =  factuality + alignment + consistency + penalty

    rule      cons                                        loss
    paper     1 - |o - mean(s)|                           |o - o_expert|       (Algorithm 1)
    proper    1 - 2 max(0, 1/2 - o) if mean(s) > 1/2      (o - o_expert)^2     (Brier)
              1 - 2 max(0, o - 1/2) if mean(s) < 1/2
              1                     if mean(s) = 1/2
    log       as proper                                   H(o_expert, o) / log(1 / epsilon)

H(y, o) = -y log o' - (1 - y) log(1 - o'), o' = o within [epsilon, 1 - epsilon], epsilon = 0.01: so
the loss is at most 1, as the others are.

The best confidence under each rule
-----------------------------------
Take one claim, right with probability p, so that o_expert = chat. The model chooses tag s and
confidence o.

paper: E[R] = alpha p + beta (s p + (1-s)(1-p)) + gamma (1 - |o - s|) - delta (p (1-o) + (1-p) o).
    It is linear in o, with slope gamma + delta (2p - 1) for s = 1 and -gamma + delta (2p - 1) for
    s = 0, so o* is 0 or 1 whatever p is: with the honest tag (s = 1 iff p > 1/2) the two terms
    pull the same way and o* = s. No calibrated confidence in between is ever the best.
proper: E[(o - o_expert)^2] = (o - p)^2 + p (1 - p), so the penalty alone is best at o = p.
    With the honest tag o = p stands on the tag's side of 1/2, where cons = 1, its maximum; no term
    asks for anything else, so o* = p, the calibrated confidence. The tag itself is best honest:
    beta pays p for s = 1 and 1 - p for s = 0, and cons costs the dishonest tag more.
log: E[H(o_expert, o)] has its least value at o' = p too (Gibbs' inequality), so it is as proper
    within [epsilon, 1 - epsilon]. It pays more for the ends: 0.05 against 0.01 costs little by
    Brier.
    With several claims o* = q = E[o_expert] as long as q stands on the side of 1/2 that most tags
    take; else, for mean(s) > 1/2, o* = min(1/2, q + gamma / delta), and mirrored for
    mean(s) < 1/2.

What the paper leaves undefined, decided here
---------------------------------------------
- The text sums over claims, Algorithm 1 averages: averaged, so a longer list is worth no more.
- Malformed (any defect, no claim, no confidence, a claim without a letter or digit): the labels
  are not looked at and the reward is exactly -delta, all of it penalty. That is the lowest any
  well-formed response can earn: the first three terms are at least 0, loss is at most 1, and all
  bounds meet in a sure, wrong claim with o = 0 and o_expert = 1 (cons is 0 under both rules).
- Repeated claims (same text after `claims.normalise`) count once, N being the number of distinct
  claims. Where the copies differ in tag or label the claim counts as the copy that earns least,
  and cons takes the lowest value that any choice of copies gives. So repeating a claim, with
  either tag, anywhere in the list, never raises the reward.
- A list longer than `claims.MAX_CLAIMS` is a defect (`too_many_claims`), so malformed.
- An expert that fails is not the response's doing and is not scored here: without labels
  there is no call to `score`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reward_fns.claims import ParsedResponse, normalise
from reward_fns.difficulty import Coefficients


@dataclass(frozen=True)
class RewardBreakdown:
    """The four terms of the reward, each with its coefficient and sign; `total` is their sum."""

    factuality: float
    alignment: float
    consistency: float
    penalty: float

    @property
    def total(self) -> float:
        """The reward, in [-delta, alpha + beta + gamma]."""
        return self.factuality + self.alignment + self.consistency + self.penalty


def _paper_consistency(confidence: float, mean_tag: float) -> float:
    return 1 - abs(confidence - mean_tag)


def _paper_loss(confidence: float, overall_label: float) -> float:
    return abs(confidence - overall_label)


def _direction_consistency(confidence: float, mean_tag: float) -> float:
    if mean_tag > 0.5:
        return 1 - 2 * max(0.0, 0.5 - confidence)
    if mean_tag < 0.5:
        return 1 - 2 * max(0.0, confidence - 0.5)
    return 1.0


def _brier_loss(confidence: float, overall_label: float) -> float:
    return (confidence - overall_label) ** 2


LOG_CLIP = 0.01
"""Confidences are moved this far from 0 and 1 before a logarithm."""


def _log_loss(confidence: float, overall_label: float) -> float:
    o = min(max(confidence, LOG_CLIP), 1 - LOG_CLIP)
    loss = -overall_label * math.log(o) - (1 - overall_label) * math.log(1 - o)
    return loss / -math.log(LOG_CLIP)


_Term = Callable[[float, float], float]
RULES: dict[str, tuple[_Term, _Term]] = {
    "paper": (_paper_consistency, _paper_loss),
    "proper": (_direction_consistency, _brier_loss),
    "log": (_direction_consistency, _log_loss),
}
"""Rule name -> (cons of o and mean(s), loss of o and o_expert)."""


def _check(parsed: ParsedResponse, claim_labels: Sequence[int], overall_label: float) -> None:
    if len(claim_labels) != len(parsed.claims):
        raise ValueError(
            f"{len(claim_labels)} claim labels for {len(parsed.claims)} claims: "
            "pass one label a claim, in the order of parsed.claims"
        )
    if any(label not in (0, 1) for label in claim_labels):
        raise ValueError(
            f"claim labels must be 0 or 1, got {list(claim_labels)}: round graded "
            "labels before scoring"
        )
    if not 0 <= overall_label <= 1:
        raise ValueError(
            f"overall_label {overall_label!r} is outside [0, 1]: divide a grade by its maximum"
        )
    if parsed.confidence is not None and not 0 <= parsed.confidence <= 1:
        raise ValueError(
            f"confidence {parsed.confidence!r} is outside [0, 1]: build the "
            "response with parse_response"
        )


def score(
    parsed: ParsedResponse,
    claim_labels: Sequence[int],
    overall_label: float,
    coefficients: Coefficients,
    rule: str = "paper",
) -> RewardBreakdown:
    """The reward of one response. Pure; see the module docstring for the formula and the decisions.

    Args:
        parsed: the response.
        claim_labels: the expert's label of each claim of `parsed.claims`, 1 for
            right and 0 for wrong, (N,).
        overall_label: o_expert in [0, 1].
        coefficients: alpha, beta, gamma, delta of the response's dataset.
        rule: "paper" (Algorithm 1), "proper" or "log".

    Raises:
        ValueError: unknown rule; for a well-formed response also a wrong number of labels, a label
            other than 0 or 1, or an overall label or confidence outside [0, 1].
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}: choose one of {', '.join(RULES)}")
    consistency, loss = RULES[rule]
    texts = [normalise(claim.text) for claim in parsed.claims]
    empty = any(not any(map(str.isalnum, text)) for text in texts)
    if not parsed.well_formed or parsed.confidence is None or empty:
        return RewardBreakdown(0.0, 0.0, 0.0, -coefficients.delta)
    _check(parsed, claim_labels, overall_label)

    copies: dict[str, set[tuple[int, int]]] = {}
    for text, claim, label in zip(texts, parsed.claims, claim_labels, strict=True):
        copies.setdefault(text, set()).add((int(label), int(claim.sure)))

    def claim_terms(copy: tuple[int, int]) -> tuple[float, float]:
        label, tag = copy
        return coefficients.alpha * label, coefficients.beta * (1 - abs(label - tag))

    worst = [min(map(claim_terms, sorted(group)), key=sum) for group in copies.values()]
    n = len(worst)
    # Either cons is concave in mean(s) or depends only on its side of 1/2, so the lowest value
    # lies at one of the extreme choices.
    extremes = [
        sum(pick(tag for _, tag in group) for group in copies.values()) / n for pick in (min, max)
    ]
    return RewardBreakdown(
        factuality=sum(factuality for factuality, _ in worst) / n,
        alignment=sum(alignment for _, alignment in worst) / n,
        consistency=coefficients.gamma
        * min(consistency(parsed.confidence, mean_tag) for mean_tag in extremes),
        penalty=-coefficients.delta * loss(parsed.confidence, overall_label),
    )
