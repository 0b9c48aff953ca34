"""One question on its way through the step `sft`: what each role is asked about it, and what
becomes of the answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.answers import Answer, chance_of_right, equal_answers, most_frequent, sampled
from data_prep.ask_model import Refused
from data_prep.engines import Completion
from data_prep.questions import SourceQuestion, UnreadableImage, image_bytes
from data_prep.steps import r_tuning
from data_prep.steps.step_log import Failure, Record
from reward_fns.claims import MAX_CLAIMS, Claim, normalise, render_response
from reward_fns.expert.requests import (
    AnswerRequest,
    AnswerVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    Request,
)


@dataclass
class Draft:
    """A question on its way to a record; once it has a `failure`, nobody is
    asked about it any more.

    Attributes:
        n: samples, empty and unreadable ones included.
        answers: the readable ones; `verdicts` on them in their order, in
            [0, 1], empty without a judge.
        facts: of the most frequent answer; `questions`, `own` and `truths` are the question of
            each, the model's answer to it, and whether the fact holds.
    """

    question: SourceQuestion
    image: bytes = b""
    n: int = 0
    answers: Sequence[Answer] = ()
    facts: Sequence[str] = ()
    questions: Sequence[str] = ()
    own: Sequence[str] = ()
    truths: Sequence[bool] = ()
    verdicts: Sequence[float] = ()
    failure: Failure | None = None

    @property
    def answer(self) -> Answer:
        """The answer that is taken apart."""
        return most_frequent(self.answers)

    def fail(self, reason: str, detail: str = "", again: bool = False) -> None:
        """Leave this question out."""
        self.failure = Failure(
            self.question.dataset, self.question.question_id, reason, detail, again
        )

    @classmethod
    def start(
        cls, question: SourceQuestion, candidates: Mapping[str, Any] | None, prompt: str
    ) -> "Draft":
        """A draft from a question's record in `candidates.jsonl`; of the claim format it
        has its facts already.
        """
        draft = cls(question)
        if candidates is None:
            draft.fail("no answers")
            return draft
        draft.n = sampled(candidates)
        draft.answers = equal_answers(candidates["candidates"], prompt)
        if not draft.answers:
            draft.fail("no readable answer", f"none of {draft.n} answers is in the claim format")
            return draft
        try:
            draft.image = image_bytes(question)
        except UnreadableImage as error:
            draft.fail("unreadable image", str(error))
            return draft
        if prompt == "claims":
            draft._set_facts(draft.answer.claims)
        return draft

    def facts_requests(self) -> list[Request[FactsVerdict]]:
        """To the extractor."""
        return [FactsRequest(self.question.question, self.answer.text, (self.image,))]

    def take_facts(self, verdicts: Sequence[FactsVerdict]) -> None:
        """The extractor's facts."""
        self._set_facts(verdicts[0].facts)

    def _set_facts(self, facts: Sequence[str]) -> None:
        """Facts on one line each, the same one once; they must be readable in the claim
        format, by every tag.
        """
        distinct: dict[str, str] = {}
        for fact in facts:
            if any(map(str.isalnum, fact)):
                distinct.setdefault(normalise(fact), " ".join(fact.split()))
        self.facts = list(distinct.values())
        if not self.facts:
            self.fail("no facts", f"in {self.answer.text[:200]!r}")
        elif len(self.facts) > MAX_CLAIMS:
            self.fail("too many facts", f"{len(self.facts)}, and an answer may hold {MAX_CLAIMS}")
        else:
            try:
                for sure in (True, False):
                    render_response([Claim(fact, sure) for fact in self.facts], 0.0)
                    r_tuning.render(self.facts, sure)
            except ValueError as error:
                self.fail("facts that the claim format cannot hold", str(error))

    def question_requests(self) -> list[Request[FactQuestionVerdict]]:
        """To the rewriter."""
        return [FactQuestionRequest(fact) for fact in self.facts]

    def take_questions(self, verdicts: Sequence[FactQuestionVerdict]) -> None:
        """The rewriter's questions."""
        self.questions = [verdict.question for verdict in verdicts]

    def judge_requests(self) -> list[Request[AnswerVerdict]]:
        """To the judge: every readable answer."""
        asked = self.question
        return [
            AnswerRequest(
                asked.question,
                asked.task,
                answer.claims,
                answer.text,
                asked.ground_truth,
                (self.image,),
            )
            for answer in self.answers
        ]

    def take_verdicts(self, verdicts: Sequence[AnswerVerdict]) -> None:
        """The judge's verdicts."""
        self.verdicts = [verdict.overall for verdict in verdicts]

    def take_own(self, answers: Sequence[Sequence[Completion] | Refused]) -> None:
        """The model's answers to the facts' questions."""
        own: list[str] = []
        for answer in answers:
            if isinstance(answer, Refused):
                self.fail("refused by the model", answer.reason)
            else:
                own.append(answer[0].text.strip())
        self.own = own

    def fact_requests(self) -> list[Request[FactVerdict]]:
        """To the verifier."""
        return [
            FactRequest(fact, question, own, self.question.ground_truth, (self.image,))
            for fact, question, own in zip(self.facts, self.questions, self.own, strict=True)
        ]

    def take_truths(self, verdicts: Sequence[FactVerdict]) -> None:
        """The verifier's verdicts."""
        self.truths = [verdict.true for verdict in verdicts]

    def record(self, confidence: str) -> Record:
        """The record, of a draft that has passed every role, with a confidence by
        "facts", else by "samples".
        """
        judged = list(zip(self.verdicts, (answer.count for answer in self.answers), strict=False))
        if confidence != "facts":
            stated = round(
                chance_of_right(sum(verdict * count for verdict, count in judged), self.n), 1
            )
        else:
            stated = round(sum(self.truths) / len(self.truths), 2)
        correct = self.verdicts[self.answers.index(self.answer)] if self.verdicts else None
        claims = [Claim(fact, true) for fact, true in zip(self.facts, self.truths, strict=True)]
        return {
            "question_id": self.question.question_id,
            "dataset": self.question.dataset,
            "answer": self.answer.text,
            "n": self.n,
            "count": self.answer.count,
            "facts": [
                {"fact": fact, "question": question, "answer": own, "true": true}
                for fact, question, own, true in zip(
                    self.facts, self.questions, self.own, self.truths, strict=True
                )
            ],
            "confidence": stated,
            "samples": [{"count": count, "correct": verdict} for verdict, count in judged],
            "correct": correct,
            "certain": None if correct is None else r_tuning.certain(correct, judged, self.n),
            "text": render_response(claims, stated),
        }
