"""The same client against a real vLLM OpenAI server on the CPU, with images."""

import asyncio

from reward_fns.expert import AnswerRequest, PairRequest, make_expert, stats_of
from reward_fns.expert.commands.check import check, red_square
from reward_fns.expert.serving.transport import Transport


def test_a_real_vllm_server_answers_with_images_schemas_and_log_probabilities(
    vllm_server, tmp_path
):
    # The pocket model cannot judge; held to the schema,
    # what it says is a readable verdict all the same.
    config = {
        "kind": "openai",
        "model": vllm_server.model,
        "base_url": vllm_server.url,
        "cache": str(tmp_path),
    }
    expert = make_expert(config | {"timeout": 120})
    claims = ("The digit is 7.", "It is red.")
    requests = [
        AnswerRequest("Which digit?", "QA", claims, "\n".join(claims), "7", (red_square(32),)),
        AnswerRequest("Which digit?", "QA", claims, "\n".join(claims), "7"),
        AnswerRequest(
            "Describe <image> </s>.", "Detail", claims, "<image><image>", "7", (red_square(32),)
        ),
    ]

    async def ask():
        pair = PairRequest(
            "Which digit?", "QA", "The digit is 7.", "The digit is 1.", "7", (red_square(32),)
        )
        return await asyncio.gather(*map(expert.ask, requests), expert.ask(pair))

    *answers, pair = asyncio.run(ask())
    for verdict in answers:
        assert len(verdict.claim_labels) == 2 and 0 <= verdict.overall <= 1
        assert (
            verdict.source.model == vllm_server.model and verdict.source.usage.prompt_tokens > 100
        )
    assert pair.label in ("entailment", "neutral", "contradiction")
    assert stats_of(expert).calls >= 4 and not stats_of(expert).failures

    transport = Transport(vllm_server.model, vllm_server.url, "OPENAI_API_KEY", 120, {})
    findings, options = asyncio.run(check(transport))
    works = {finding.name: finding.works for finding in findings}
    assert options == {}  # the defaults work there
    assert all(works[name] for name in ("text", "image", "json schema", "logprobs"))
