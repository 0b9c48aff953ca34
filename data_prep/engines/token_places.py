"""Where each generated token stands in the answer's text, and the
log-probability of a piece of it.
"""

from collections.abc import Iterable, Sequence

from data_prep.engines.interface import Token
from reward_fns.errors import UserError

Span = tuple[int, int]
_LONGEST_GAP = 8  # characters whose bytes several tokens share


def token_places(text: str, tokens: Sequence[Token]) -> list[Span]:
    """The characters of each token, (start, end) in `text`; empty where a token adds none.

    Tokens are walked from left to right. A blank that a tokenizer puts before the first word, and
    the end of sequence, have no place in the text. Pieces may come with the blank before them or
    without. A token that holds a part of a character's bytes is empty too: the character belongs
    to the piece that follows.

    Raises:
        UserError: the tokens do not spell the text.

    >>> token_places("A 3.", [Token(" A", 0.0, {}), Token(" 3", 0.0, {}), Token(".", 0.0, {})])
    [(0, 1), (1, 3), (3, 4)]
    """
    places: list[Span] = []
    at = 0
    for token in tokens:
        piece = token.text if at or text.startswith(token.text) else token.text.lstrip(" ")
        if at == len(text) or not piece or "\ufffd" in piece:
            places.append((at, at))
            continue
        found = _find(text, piece, at)
        if found is None:
            raise UserError(
                f"the token {token.text!r} does not stand at character {at} of the answer "
                f"{text[:60]!r}: this engine's tokens do not spell its text"
            )
        places.append((at, found + len(piece)))
        at = found + len(piece)
    return places


def _find(text: str, piece: str, at: int) -> int | None:
    """Where a piece begins: here, or behind blanks and characters that were
    tokenised by their bytes.
    """
    found = text.find(piece, at, at + _LONGEST_GAP + len(piece))
    missed = [c for c in text[at:found] if c.isascii() and not c.isspace()]
    return None if found < 0 or missed else found


def span_logprob(span: Span, places: Iterable[Span], tokens: Iterable[Token]) -> float:
    """Log-probability of the tokens that hold a character of the span, their sum, <= 0.

    A token without a place of its own holds bytes of the character that follows.
    """
    start, end = span
    return sum(
        token.logprob
        for (begin, stop), token in zip(places, tokens, strict=True)
        if begin < end and (stop > start or begin == stop == start)
    )
