"""An expert in all roles of stage one that answers by rule, and notes each answer it gives.

Named by dotted path ("scripted_roles:Roles"), so that a run in another process finds it.
"""

import asyncio
import json

from scripted import chance

from reward_fns.expert.requests import (
    PAIR_LABELS,
    AnswerRequest,
    AnswerVerdict,
    FactQuestionRequest,
    FactQuestionVerdict,
    FactRequest,
    FactsRequest,
    FactsVerdict,
    FactVerdict,
    PairRequest,
    PairVerdict,
    Source,
)

SOURCE = Source("roles", "1")


class Roles:
    """Facts are the answer itself and one more; what is true is a function of the texts."""

    name = "roles"

    def __init__(self, log=None, delay=0.0):
        self.log, self.delay = log, delay

    def prompt_version(self, request):
        return "1"

    async def ask(self, request):
        await asyncio.sleep(self.delay)
        verdict = self._verdict(request)
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps([type(request).__name__, self._said(request)]) + "\n")
        return verdict

    def _verdict(self, request):
        match request:
            case PairRequest():
                return PairVerdict(PAIR_LABELS[int(chance(request.better, request.worse) * 3)], SOURCE)
            case FactsRequest():
                return FactsVerdict((request.response, f"{request.question[:-1]} is asked for."), SOURCE)
            case FactQuestionRequest():
                return FactQuestionVerdict(f"Is it so: {request.fact}", SOURCE)
            case FactRequest():
                return FactVerdict(chance(request.fact, request.question, request.answer) < 0.5, SOURCE)
            case AnswerRequest():
                return AnswerVerdict((), round(chance(request.question, request.response)), SOURCE)

    def _said(self, request):
        if isinstance(request, FactRequest):
            return [request.fact, request.question, request.answer]
        return [getattr(request, name) for name in ("question", "response", "fact", "better") if hasattr(request, name)]
