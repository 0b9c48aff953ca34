"""Messages without what a server may echo: keys, options that may be
secrets, texts of a request.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_LONGEST_MESSAGE = 200


def without(message: str, secrets: Iterable[str], keys: Iterable[str] = ()) -> str:
    """The message without secrets and keys, cut to a readable length.

    Args:
        secrets: texts that go where they stand as whole words, so that a one-letter text
            does not blank a message.
        keys: texts that go wherever they stand, glued to a word or escaped as in JSON.
    """
    for key in keys:
        for form in {key, json.dumps(key)[1:-1]} - {""}:
            message = message.replace(form, "[...]")
    found = {
        form for secret in secrets if secret.strip() for form in (secret, json.dumps(secret)[1:-1])
    }
    for secret in sorted(found, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "[...]", message)
    return message[:_LONGEST_MESSAGE]


SHORTEST_SECRET = 8
"""Characters from which on an option's text is taken for what may be a secret, as a
token in a request's body.
"""


def texts_in(value: Any, shortest: int = SHORTEST_SECRET) -> Iterator[str]:
    """The texts of nested options that may be secrets, from a length on: no message holds them."""
    if isinstance(value, str) and len(value) >= shortest:
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item, shortest)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item, shortest)
