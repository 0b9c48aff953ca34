"""PC-R, robust prompting for correctness (paper 4.3): paraphrased prompts ask
whether the answer is correct.

    c = (p_Yes + p_True) / (p_Yes + p_No + p_True + p_False)

p_w is the highest probability of word w over the prompts, at the first token of the reply. None
where none of the four words is among the 20 most probable tokens of any prompt.

The variants of a word at one prompt, whatever their case and the blanks around them, are added; a
word outside the 20 most probable tokens counts as 0 (`data_prep.engines.first_token`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.engines import Engine, Sampling
from data_prep.engines.first_token import TOP_LOGPROBS, word_probabilities
from eval.protocols.ask_model import Asked, ask
from eval.protocols.direct import DIGITS
from eval.records import Confidence
from reward_fns import prompts

PROMPTS = ("pcr_1", "pcr_2", "pcr_3")
AFFIRMATIVE, NEGATIVE = ("yes", "true"), ("no", "false")


class RobustPrompting:
    """Three prompts an answer, one token each."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """The prompts."""
        return {"prompts": [prompts.template(name) for name in PROMPTS]}

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Ask all prompts for a batch, those of one answer next to each other:
        they share the image.
        """
        requests = [
            item.request(name, self._seed, question=item.question.question, answer=item.text)
            for item in batch
            for name in PROMPTS
        ]
        replies = ask(
            engine, requests, Sampling(temperature=0, max_tokens=1, top_logprobs=TOP_LOGPROBS)
        )
        tops = [reply.tokens[0].top if reply.tokens else {} for (reply,) in replies]
        return [
            self._found(item, tops[i * len(PROMPTS) : (i + 1) * len(PROMPTS)])
            for i, item in enumerate(batch)
        ]

    def _found(self, item: Asked, tops: Sequence[Mapping[str, float]]) -> Confidence:
        masses = [word_probabilities(top, (*AFFIRMATIVE, *NEGATIVE)) for top in tops]
        highest = {word: max(mass[word] for mass in masses) for word in (*AFFIRMATIVE, *NEGATIVE)}
        yes, no = (sum(highest[word] for word in words) for words in (AFFIRMATIVE, NEGATIVE))
        detail = {word: round(value, DIGITS) for word, value in highest.items()}
        confidence = round(yes / (yes + no), DIGITS) if yes + no else None
        return item.found(confidence, detail=detail)
