"""Where the tokens of an answer stand in its text."""

import re
from collections.abc import Iterator

from data_prep.engines import Completion, Token
from data_prep.engines.token_places import token_places
from reward_fns.claims import parse_response
from reward_fns.errors import UserError
from reward_fns.lenient import statements


def placed_tokens(completion: Completion) -> Iterator[tuple[int, Token]]:
    """Tokens with where their first character that is no blank stands in the text, ascending.

    Tokens without one are passed over; nothing is placed where the tokens do not spell the text.
    """
    try:
        places = token_places(completion.text, completion.tokens)
    except UserError:
        return
    for (start, end), token in zip(places, completion.tokens, strict=True):
        said = completion.text[start:end]
        if said.strip():
            yield end - len(said.lstrip()), token


def own_text_end(response: str) -> int | None:
    """Where the last letter or digit of what an answer says stands; None if that cannot be located.

    What it says is its last claim, without bullet, tag and confidence, or its last statement if it
    has another form (`reward_fns.lenient`).

    >>> own_text_end("1. The digit is 7. I'm sure.\\nConfidence: 0.3")
    16
    """
    parsed = parse_response(response, spans=True)
    if parsed.list_is_whole and (span := parsed.claims[-1].text_span):
        end: int | None = span[1]
    else:
        end = _statements_end(response)
    if end is None:
        return None
    return next((i for i in reversed(range(end)) if response[i].isalnum()), None)


def _statements_end(response: str) -> int | None:
    """Where the last of the statements ends, each looked for behind the one before."""
    position = None
    for statement in statements(response):
        words = r"\s+".join(map(re.escape, statement.split()))
        match = re.compile(words).search(response, position or 0)
        if match is None:
            return None
        position = match.end()
    return position


def own_last_token(completion: Completion) -> Token | None:
    """The token that holds the last letter or digit of what an answer says;
    None if there is none.
    """
    end = own_text_end(completion.text)
    if end is None:
        return None
    for start, token in placed_tokens(completion):
        if start <= end < start + len(token.text.strip()):
            return token
    return None
