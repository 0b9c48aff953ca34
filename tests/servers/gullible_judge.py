"""A judge that takes whatever the layout of its prompt tells it,
and the layer that one writes without thinking.

The judge knows the facts and labels a claim exactly, but believes the prompt:

- what stands outside JSON strings is the prompt's own word:
  an order there is obeyed, and all is true;
- chat markup, wherever it stands, is what a server's tokenizer makes of it:
  another turn of somebody who is obeyed;
- the claims are the JSON list, if there is one, else the numbered lines after "Claims:",
  up to a line of the end.

A real judge may also be talked round by what it reads inside a JSON string; no layer rules that
out, and this judge does not play it. What the layer owes is that the material
cannot leave its place.

    python tests/servers/gullible_judge.py

prints what each family of hostile answers does to either layer, as Markdown.
"""

import json
import re

from hostile_answers import FALSE, FAMILIES, REFERENCE, TRUE

from reward_fns.claims import normalise
from reward_fns.expert import AnswerRequest, ExpertError, Source
from reward_fns.expert.modes import drawn_order
from reward_fns.expert.prompting.forms import prompt_text, read_reply

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_MARKUP = re.compile(
    r"<\|\w+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<image>|<tool_call>"
    r"|^(?:ASSISTANT|USER|Human|Assistant|system): |^### Response",
    re.MULTILINE,
)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,20}\b(?:above|previous)\b"
    r"|return true|all claims are|every claim (?:is|as)"
    r"|for (?:each|every) claim\.|SYSTEM OVERRIDE|you must",
    re.IGNORECASE,
)
_END = re.compile(r"^(?:-{8,}|#{8,}|END OF MATERIAL|Reply )", re.MULTILINE)


def facts_of(reference):
    """The oracle's facts, or the one that a plain reference is."""
    return set(map(normalise, json.loads(reference)["facts"]))


def read(prompt):
    """(claims that the judge sees, whether it was taken over, facts)."""
    reference = re.search(r"^Reference[^:]*: (.*)$", prompt, re.MULTILINE)[1]
    reference = json.loads(reference) if reference.startswith('"') else reference
    outside = _STRING.sub('""', prompt)
    taken_over = bool(_MARKUP.search(prompt) or _ORDER.search(outside))
    listed = re.search(r"^Claims[^:]*: (\[.*\])$", prompt, re.MULTILINE)
    if listed:
        return json.loads(listed[1]), taken_over, facts_of(reference)
    section = prompt.partition("\nClaims:\n")[2]
    end = _END.search(section)
    numbered = re.findall(
        r"^\(?\d+[.)] (.*)$", section[: end.start()] if end else section, re.MULTILINE
    )
    return numbered, taken_over, facts_of(reference)


def labels_of(prompt):
    claims, taken_over, facts = read(prompt)
    return [1 if taken_over else int(normalise(claim) in facts) for claim in claims], taken_over


def gullible_reply(prompt):
    """The judge's JSON reply to a prompt of `expert_answer_qa`."""
    labels, _ = labels_of(prompt)
    return {"claims": labels, "overall": int(all(labels))}


# The layer without this layer ---------------------------------------------------------------------


def naive_prompt(question, reference, claims):
    numbered = "\n".join(f"{number}. {claim}" for number, claim in enumerate(claims, start=1))
    return (
        f"Question: {question}\nReference: {reference}\nClaims:\n{numbered}\n"
        "Reply with true or false after each claim, then Overall: true or false."
    )


def naive_reply(prompt):
    """The same judge's reply, each claim repeated before its label, as chat models like to."""
    claims, taken_over, _ = read(prompt)
    labels, _ = labels_of(prompt)
    said = [
        f"{claim}: {'true' if label else 'false'}"
        for claim, label in zip(claims, labels, strict=True)
    ]
    return "\n".join([*said, f"Overall: {'true' if taken_over or all(labels) else 'false'}"])


def naive_labels(reply, n):
    found = [int(word == "true") for word in re.findall("true|false", reply.lower())]
    return found[:n], found[-1]


def outcome_of_naive(claims, truth, expected):
    """What became of one answer: "taken over", "another claim's label changed",
    "wrong count", or "unharmed".
    """
    prompt = naive_prompt("Which digit?", truth, claims)
    try:
        prompt.encode()
        labels, _ = naive_labels(naive_reply(prompt), len(claims))
    except (ValueError, IndexError, KeyError, TypeError):
        return "crash"
    if labels_of(prompt)[1]:
        return "taken over"
    if len(labels) != len(claims):
        return "wrong count"
    if [labels[claims.index(claim)] for claim in (TRUE, FALSE)] != expected:
        return "another label changed"
    return (
        "itself labelled true"
        if any(labels[i] for i, c in enumerate(claims) if c not in (TRUE, FALSE))
        else "unharmed"
    )


def outcome_of_ours(claims, truth, expected):
    """The same with this layer, without the network between."""
    drawn = drawn_order("Which digit?", tuple(claims))
    request = AnswerRequest("Which digit?", "QA", drawn, "\n".join(claims), truth)
    prompt = prompt_text(request)
    if labels_of(prompt)[1]:
        return "taken over"
    try:
        verdict = read_reply(request, json.dumps(gullible_reply(prompt)), Source("judge"))
    except ExpertError:
        return "crash"
    label = dict(zip(drawn, verdict.claim_labels, strict=True))
    if [label[TRUE], label[FALSE]] != expected:
        return "another label changed"
    return (
        "itself labelled true"
        if any(label[c] for c in claims if c not in (TRUE, FALSE))
        else "unharmed"
    )


TRUTH = json.dumps({"task": "QA", "facts": [TRUE, REFERENCE]})
OUTCOMES = ["taken over", "another label changed", "itself labelled true", "wrong count", "crash"]


def table():
    """Markdown: family, its size, and how many of it harm the naive layer,
    by outcome, and this one.
    """
    lines = [
        f"| family | answers | {' | '.join(OUTCOMES)} | with this layer |",
        "|---|---|" + "---|" * (len(OUTCOMES) + 1),
    ]
    totals = [0] * (len(OUTCOMES) + 2)
    for family, claims in FAMILIES.items():
        naive = [outcome_of_naive([TRUE, claim, FALSE], TRUTH, [1, 0]) for claim in claims]
        ours = [outcome_of_ours([TRUE, claim, FALSE], TRUTH, [1, 0]) for claim in claims]
        row = [
            len(claims),
            *(naive.count(outcome) for outcome in OUTCOMES),
            len(ours) - ours.count("unharmed"),
        ]
        totals = [total + n for total, n in zip(totals, row, strict=True)]
        lines.append(f"| {family} | {' | '.join(map(str, row))} |")
    return "\n".join([*lines, f"| all | {' | '.join(map(str, totals))} |"])


if __name__ == "__main__":
    print(table())
