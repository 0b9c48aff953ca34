"""What `estimate` rests on and nobody has measured here: cards, efficiencies, lengths."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A card as its data sheet has it: GiB, bf16 FLOP/s (dense), bytes/s of its memory.

    Attributes:
        link: bytes/s that a card receives from the others of its node.
    """

    name: str
    gib: float
    flops: float
    memory: float
    link: float


RTX_4090 = Card("RTX 4090", 24, 165e12, 1.0e12, 25e9)
A100 = Card("A100 80 GB", 80, 312e12, 2.0e12, 250e9)
H100 = Card("H100 80 GB", 80, 989e12, 3.35e12, 400e9)


@dataclass(frozen=True)
class Setup:
    """Nodes of equal cards."""

    card: Card
    nodes: int
    per_node: int

    @property
    def cards(self) -> int:
        """All of them."""
        return self.nodes * self.per_node

    @property
    def name(self) -> str:
        """As the table's first column has it."""
        count = f"{self.nodes} x {self.per_node}" if self.nodes > 1 else f"{self.per_node}"
        return f"{count} x {self.card.name}"


SETUPS = (
    Setup(RTX_4090, 1, 1),
    Setup(A100, 1, 1),
    Setup(A100, 1, 8),
    Setup(A100, 2, 8),
    Setup(H100, 1, 1),
    Setup(H100, 1, 8),
    Setup(H100, 2, 8),
)

#: Share of a card's FLOP/s reached by long sequences: training, log-probabilities, prompts.
COMPUTE_SHARE = 0.35
#: Share of a card's memory bandwidth reached while answers are sampled.
BANDWIDTH_SHARE = 0.6
#: Bytes/s between nodes that each card gets: 200 Gbit/s a card.
NETWORK = 25e9
#: Tokens: the question with the format's instruction, an answer of stage one, a response of GRPO.
QUESTION_TOKENS = 150
ANSWER_TOKENS = 60
RESPONSE_TOKENS = 150
#: Rollouts sampled for each that is trained on: dynamic sampling throws tied groups away.
SAMPLED_PER_KEPT = 2.0
#: The expert: answers judged a second. Judging goes on while others are sampled.
JUDGED_PER_S = 16.0
#: Seconds a step for weight sync, sleeping and waking of vLLM, and Ray.
OVERHEAD_S = 15.0
#: GiB that CUDA, NCCL and PyTorch's allocator hold beside what is counted, each process of a card.
CONTEXT_GIB = 2.0
#: Questions of the paper's Table 13 in all; trained on, and answered for SFT (its splits).
QUESTIONS = 83_132
RL_QUESTIONS = 1_386
SFT_ANSWERS = 1_008
