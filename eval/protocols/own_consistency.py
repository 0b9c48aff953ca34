"""sc_own: how often the model's further samples say what *this* answer says.

    c = mean over the answer's statements of (samples that make the statement) / k
        (--equivalence text)
    c = (samples that are equivalent to the answer) / k
        (any other, `equivalence`)

Statements are equal by `reward_fns.claims.normalise`, so nothing is merged that reads differently:
"The digit is 3." and "The digit is 8." are two. Of an answer with one statement it is the share of
samples that give this answer. Unlike the paper's SC it is about the answer, and an answer outside
the largest cluster gets its own, low, confidence. Long free prose seldom repeats itself word by
word: there it is near 0, and says little; name an NLI model or the expert for it
(`--equivalence`), which compare whole answers.

The samples are those of `sc`: temperature 1, the prompt of the answer, the same seed.
"""

from collections.abc import Mapping, Sequence

from data_prep.engines import Engine
from eval.protocols.ask_model import Asked
from eval.protocols.compared_samples import ComparedSamples
from eval.protocols.equivalence import Pair, TextEquivalence
from eval.records import Confidence
from reward_fns.claims import normalise
from reward_fns.lenient import statements


def share_of_own(own: Sequence[str], samples: Sequence[Sequence[str]]) -> float | None:
    """Mean share of the samples that make each of an answer's statements, in [0, 1];
    None without statements.

    Args:
        own: the answer's statements.
        samples: those of each sample, (k, ...).
    """
    if not own:
        return None
    made = [set(map(normalise, sample)) for sample in samples]
    shares = [sum(normalise(one) in sample for sample in made) / len(made) for one in own]
    return sum(shares) / len(shares)


class OwnConsistency(ComparedSamples):
    """The share of a question's samples that say what an answer says."""

    def confidences(self, engine: Engine, batch: Sequence[Asked]) -> list[Confidence]:
        """Sample and compare."""
        drawn = self._draw(engine, batch)
        if not isinstance(self._equivalence, TextEquivalence):
            return self._whole_answers(batch, drawn)
        said = {q: [statements(text) for text in samples] for q, samples in drawn.items()}
        return [
            item.found(
                share_of_own(statements(item.answer.response), said[item.question.question_id])
            )
            for item in batch
        ]

    def _whole_answers(
        self, batch: Sequence[Asked], drawn: Mapping[str, Sequence[str]]
    ) -> list[Confidence]:
        """The share of samples that are equivalent to the whole answer; None for
        one that says nothing.
        """
        speaking = [item for item in batch if statements(item.answer.response)]
        pairs = [
            Pair(item.question, item.answer.response, sample)
            for item in speaking
            for sample in drawn[item.question.question_id]
        ]
        verdicts = iter(self._equivalence.equal(pairs))
        share = {}
        for item in speaking:
            n = len(drawn[item.question.question_id])
            share[item.answer.key] = sum(next(verdicts) for _ in range(n)) / n
        return [item.found(share.get(item.answer.key)) for item in batch]
