"""The tags "I'm sure" and "I'm not sure" in a text: the one place that knows how they are written.

In any case, with a straight or curly apostrophe: I'm sure, I am sure, I'm not sure, I am not sure,
I'm unsure, I am unsure.
"""

import re
from unicodedata import category

_TAG = re.compile(r"(?<![^\W_])I(?:['’‘ʼ`´]m| am) (not sure|unsure|sure)", re.IGNORECASE | re.ASCII)
_AT_END = re.compile(_TAG.pattern + r"\Z", re.IGNORECASE | re.ASCII)
_STATEMENT = re.compile(_TAG.pattern + r"(?=\W*\Z|[.!?;:)\]])[.!?;:)\]]*", re.IGNORECASE | re.ASCII)
LONGEST_TAG = len("I am not sure")


def tag_at_end(text: str) -> re.Match[str] | None:
    """The tag that ends `text` (folded, `response_text.spoken`); group 1 is "sure" or its opposite.

    Looks at the last few characters only.
    """
    return _AT_END.search(text, max(0, len(text) - LONGEST_TAG - 1))


def holds_tag(text: str) -> bool:
    """Whether a tag stands in `text` as a statement of its own, unlike in "I'm
    sure the digit is 7".
    """
    if "sure" not in text.lower():
        return False
    for tag in _TAG.finditer(text):
        following = text[tag.end() : tag.end() + 2].lstrip()[:1]
        if not (following.isalnum() or following and category(following) in ("Ps", "Pi")):
            return True
    return False


def without_tags(text: str) -> tuple[str, bool]:
    """The text without the tags that end a statement, and whether there were any."""
    rest, n = _STATEMENT.subn("", text)
    return rest, n > 0
