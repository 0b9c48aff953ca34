"""What the property "nothing is said unjudged" needs: responses, insertions,
a judge that remembers.

Shared by the test of CI (300 examples) and the benchmark folder's (5,000).
"""

import asyncio
import re
from dataclasses import dataclass, field

from hypothesis import strategies as st

from reward_fns.claims import ParsedResponse, normalise, parse_response
from reward_fns.difficulty import coefficients
from reward_fns.expert.requests import AnswerRequest, AnswerVerdict, Source
from reward_fns.judging import JudgedResponse, judge_response, reward_dict
from reward_fns.response_text import SPECIAL_TOKENS

TRUE = {"the digit is 7", "its colour is red"}


@dataclass
class RecordingJudge:
    """An expert that knows the truth and remembers every claim that it was shown."""

    name: str = "recording"
    shown: list[str] = field(default_factory=list)

    async def ask(self, request: AnswerRequest) -> AnswerVerdict:
        self.shown += request.claims
        labels = tuple(int(normalise(claim) in TRUE) for claim in request.claims)
        return AnswerVerdict(labels, float(all(labels)), Source("recording"))


def rewarded(response: str, rule: str) -> tuple[float, ParsedResponse, list[str]]:
    """The reward of a response, its reading, and the claims that the judge was shown."""
    judge = RecordingJudge()

    async def judge_it() -> JudgedResponse:
        return await judge_response(
            response=response,
            question="Which digit?",
            task="QA",
            ground_truth="The digit is 7.",
            expert=judge,
        )

    judged = asyncio.run(judge_it())
    reward = reward_dict(judged, coefficients("VQAv2"), rule)
    parsed = parse_response(response, spans=True)
    assert judged.parsed == parsed
    return reward["score"], parsed, judge.shown


BULLET = re.compile(r"^(?:[-*•]|\(?[0-9]{1,3}[.)])(?=\s|$)")
SPECIAL = re.compile(rf"(\s*({'|'.join(map(re.escape, SPECIAL_TOKENS))}))+\s*$")
CONFIDENCE_LINE = re.compile(r"[*_ ]*(my )?(overall |final )?confidence[*_ ]*[:=][\W\d_]*", re.I)


def unaccounted(response: str, parsed: ParsedResponse, shown: list[str]) -> str:
    """Letters and digits of a response whose list is whole that stand where nobody judges.

    Written apart from the parser: it takes out what the spans name, then reads what is left.
    """
    end = SPECIAL.search(response)
    rest = list(response[: end.start()] if end else response)
    for claim, text in zip(parsed.claims, shown, strict=True):
        start, end = claim.text_span
        assert " ".join(response[start:end].split()) == text
        for at in (*range(start, end), *range(*claim.tag_span)):
            rest[at] = " "
    lines = "".join(rest).splitlines()
    left = (BULLET.sub("", line.strip(), count=1).strip() for line in lines)
    return "".join(
        filter(str.isalnum, "".join(x for x in left if not CONFIDENCE_LINE.fullmatch(x)))
    )


BASES = [
    "1. The digit is 3. I'm sure.\n2. The digit is 7. I'm sure.\nConfidence: 1",
    "1. The digit is 7. I'm sure.\nConfidence: 1",
    "1. The digit is 3. I'm not sure.\nConfidence: 0.2",
    "- The digit is 7. I'm not sure.\n- Its colour is red. I'm sure.\nConfidence: 40%",
    "The digit is 3.\n1. The digit is 7. I'm sure.\nConfidence: 0.9",
    "1. The digit is 7.\nConfidence: 0.9",
    "1. The digit is 3. I'm sure.",
    "The digit is 7.",
]
PIECES = [
    *("\n", "\n\n", " ", "\t", "\r", "\u2028", "\x0b", "\u200b", "\u00ad"),
    *("1. ", "1.", "**1.** ", "a) ", "- ", "* ", "(2) ", "> ", "# ", "| ", "```", "•"),
    *("The digit is 7.", "The digit is 3.", "Its colour is red.", "7", "３", "七", "③", "not "),
    *(
        "I'm sure.",
        "I’m not sure.",
        "I am sure",
        " I'm sure;",
        "I'm sure。",
        "I'm sure. ✅",
        "sure",
    ),
    *("Confidence: 1", "Confidence: 0.", "confidence = ", "0.5", "95%", "0.95%", "</s>"),
    *("Confidence", ": ", "high", "0.5. The digit is 3."),
    *("<think>", "</think>", "✅", "❌", ".", ",", ":", "(", ")", "\U000e0033"),
]
insertions = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=8).map(
    "".join
)
edits = st.tuples(st.sampled_from(BASES), st.floats(0, 1), insertions)
"""A response, where something is put in (0 is its beginning, 1 its end), and what."""


def check_that_an_insertion_raises_no_reward_unjudged(
    edit: tuple[str, float, str], rule: str
) -> bool:
    """Whether the insertion raised the reward; if so all it says is judged or carries no answer."""
    response, place, inserted = edit
    at = round(place * len(response))
    changed = response[:at] + inserted + response[at:]
    before, _, _ = rewarded(response, rule)
    after, parsed, shown = rewarded(changed, rule)
    if parsed.list_is_whole:
        assert unaccounted(changed, parsed, shown) == ""
    if after > before:
        assert parsed.well_formed
    return after > before
