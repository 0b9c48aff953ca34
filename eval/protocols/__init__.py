"""Confidence protocols, one small module each, over the same answers.

dp, dp_end, dp_answer, dp_sequence (`direct`), sc (`consistency`), sc_own (`own_consistency`),
semantic_entropy, pcr, verbal and verbal_asked (`verbal`), verbal_expected, vcap, and tags.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from eval.protocols.ask_model import Asked, ConfidenceProtocol, ask, request_seed
from eval.protocols.consistency import SelfConsistency
from eval.protocols.direct import DirectProbability
from eval.protocols.equivalence import Equivalence, TextEquivalence
from eval.protocols.own_consistency import OwnConsistency
from eval.protocols.pcr import RobustPrompting
from eval.protocols.semantic_entropy import SemanticEntropy
from eval.protocols.tags import Tags
from eval.protocols.vcap import Vcap
from eval.protocols.verbal import Stated, VerbalAsked
from eval.protocols.verbal_expected import VerbalExpected

__all__ = [
    "BY_EQUIVALENCE",
    "DEFAULT",
    "FROM_PROBABILITIES",
    "PROTOCOLS",
    "Asked",
    "ConfidenceProtocol",
    "Options",
    "ask",
    "request_seed",
]


@dataclass(frozen=True)
class Options:
    """What protocols are made from.

    Attributes:
        seed: of the run.
        max_tokens: of an answer or description.
        sc_samples: k of sc, sc_own and semantic_entropy.
        equivalence: when two samples say the same, for the latter two.
    """

    seed: int
    max_tokens: int
    sc_samples: int
    equivalence: Equivalence = field(default_factory=TextEquivalence)


PROTOCOLS: dict[str, Callable[[Options], ConfidenceProtocol]] = {
    "dp": lambda options: DirectProbability("dp"),
    "dp_end": lambda options: DirectProbability("dp_end"),
    "dp_answer": lambda options: DirectProbability("dp_answer"),
    "dp_sequence": lambda options: DirectProbability("dp_sequence"),
    "sc": lambda options: SelfConsistency(options.seed, options.sc_samples, options.max_tokens),
    "sc_own": lambda options: OwnConsistency(
        options.seed, options.sc_samples, options.max_tokens, options.equivalence
    ),
    "semantic_entropy": lambda options: SemanticEntropy(
        options.seed, options.sc_samples, options.max_tokens, options.equivalence
    ),
    "pcr": lambda options: RobustPrompting(options.seed),
    "verbal": lambda options: Stated(),
    "verbal_expected": lambda options: VerbalExpected(),
    "verbal_asked": lambda options: VerbalAsked(options.seed),
    "vcap": lambda options: Vcap(options.seed, options.max_tokens),
    "tags": lambda options: Tags(),
}
FROM_PROBABILITIES = ("dp", "dp_end", "dp_answer", "dp_sequence")
"""Those that read `Answer.probabilities`, each under its own name, and ask the model nothing."""
BY_EQUIVALENCE = ("sc_own", "semantic_entropy")
"""Those that compare samples by `Options.equivalence`."""
DEFAULT = ("dp", "sc", "pcr", "verbal", "vcap")
"""The paper's five."""
