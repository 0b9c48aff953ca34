"""Options of an expert that hold a secret in clear, and those that name its environment variable.

An expert's options are logged and tracked by who configures it, verl for one: a secret among them
is named, not written.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reward_fns.expert.serving.redaction import SHORTEST_SECRET

HIDDEN = "[...]"
"""What is shown in the place of a secret."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET = {
    *("secret", "secrets", "password", "passwd", "passphrase", "credential", "credentials"),
    *("authorization", "bearer", "cookie", "apikey", "apikeys"),
}
_SECRET_AT_THE_END = {"token", "auth"}
_BEFORE_KEY = {"api", "access", "private", "secret", "subscription", "auth", "account", "master"}

# As their issuers write them; the last: 32 letters and digits and more, in which no word is read.
_LOOKS_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|rk)-(?=[\w-]*\d)[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bgh[oprsu]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|^(?i:bearer)\s+\S{4,}$|^(?i:basic)\s+[A-Za-z0-9+/]{12,}={0,2}$"
)
_NO_WORD = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}"
    r"|(?=.*[0-9])(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9_-]{40,}"
)
_WITH_PASSWORD = re.compile(r"://[^/\s]*:(?![0-9]+(?:[/?#]|$))[^@\s]*@")


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is a secret by that name.

    >>> [is_secret_name(name) for name in ("api_key", "X-Api-Key", "accessToken", "Authorization")]
    [True, True, True, True]
    >>> plain = ("max_tokens", "api_key_env", "prompt_cache_key", "logprobs")
    >>> [is_secret_name(name) for name in plain]
    [False, False, False, False]
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or _names_variables(name):
        return False
    keys = any(
        before in _BEFORE_KEY and word in ("key", "keys")
        for before, word in zip(words, words[1:], strict=False)
    )
    return keys or not _SECRET.isdisjoint(words) or words[-1] in _SECRET_AT_THE_END


def _names_variables(name: str) -> bool:
    """Whether variables of the environment stand under a name: `api_key_env`, `parameters_env`."""
    return name in ("api_key_env", "password_env", "parameters_env")


def known_secrets(environment: Mapping[str, str]) -> list[str]:
    """The values that an environment holds under names of secrets."""
    return [
        value
        for name, value in environment.items()
        if is_secret_name(name) and len(value) >= SHORTEST_SECRET
    ]


def secrets_in(
    options: Any, known: Sequence[str] = (), path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Where options hold what is, or looks like, a secret in clear; the secret is in no path.

    Args:
        options: nested mappings, lists and values.
        known: texts that are secrets wherever they stand.
    """
    if isinstance(options, Mapping):
        for name, value in options.items():
            shown = str(name)
            if _is_secret_text(shown, known, within=path):
                yield (*path, HIDDEN)
            elif is_secret_name(shown) and _says_something(value):
                yield (*path, shown)
            elif _names_variables(shown):
                # The key itself in the place of its variable's name is the likeliest slip.
                yield from _written_out(value, known, (*path, shown))
            else:
                yield from secrets_in(value, known, (*path, shown))
    elif isinstance(options, list | tuple):
        for number, value in enumerate(options):
            yield from secrets_in(value, known, (*path, str(number)))
    elif isinstance(options, str) and _is_secret_text(options, known, within=path):
        yield path


def _written_out(
    value: Any, known: Sequence[str], path: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Where a secret stands and the name of its variable should."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _written_out(item, known, (*path, str(name)))
    elif isinstance(value, str) and _is_secret_text(value, known, within=path):
        yield path


def without_secrets(options: Any, known: Sequence[str] = (), path: tuple[str, ...] = ()) -> Any:
    """The same options with dots where `secrets_in` finds something.

    >>> without_secrets({"parameters": {"seed": 1, "api_key": "c4n4ry"}})
    {'parameters': {'seed': 1, 'api_key': '[...]'}}
    """
    if isinstance(options, Mapping):
        shown = {}
        for name, value in options.items():
            if _is_secret_text(str(name), known, within=path):
                shown[HIDDEN] = HIDDEN
            elif is_secret_name(str(name)) and _says_something(value):
                shown[name] = HIDDEN
            elif _names_variables(str(name)):
                shown[name] = HIDDEN if list(_written_out(value, known, path)) else value
            else:
                shown[name] = without_secrets(value, known, (*path, str(name)))
        return shown
    if isinstance(options, list | tuple):
        return [without_secrets(value, known, path) for value in options]
    if isinstance(options, str) and _is_secret_text(options, known, within=path):
        return HIDDEN
    return options


def _says_something(value: Any) -> bool:
    """Whether a value under a secret's name can be one; a switch is none, nor is a reference."""
    if isinstance(value, Mapping):
        return any(_says_something(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_says_something(item) for item in value)
    if isinstance(value, str):
        return bool(value) and not value.startswith("${")
    return value is not None and not isinstance(value, bool)


def _is_secret_text(text: str, known: Sequence[str], within: tuple[str, ...]) -> bool:
    if any(secret in text for secret in known) or _WITH_PASSWORD.search(text):
        return True
    if _LOOKS_LIKE_A_KEY.search(text):
        return True
    # Elsewhere it may be a path, or the name of a model.
    return "parameters" in within and _NO_WORD.fullmatch(text) is not None


def with_values(parameters_env: Any, path: tuple[str, ...] = ()) -> Any:
    """The same nested mappings with the values of the environment variables that they name.

    >>> os.environ["TENANT_TOKEN"] = "t-1"
    >>> with_values({"tenant": {"token": "TENANT_TOKEN"}})
    {'tenant': {'token': 't-1'}}
    >>> del os.environ["TENANT_TOKEN"]

    Raises:
        ValueError: a variable is not set, or a value is no name of one.
    """
    if isinstance(parameters_env, Mapping):
        return {
            str(name): with_values(value, (*path, str(name)))
            for name, value in parameters_env.items()
        }
    where = ".".join(("parameters_env", *path))
    # What is no name is not shown: it may be the secret itself.
    if not isinstance(parameters_env, str) or not re.fullmatch(r"[A-Za-z_]\w*", parameters_env):
        raise ValueError(f"{where} must name an environment variable")
    if not os.environ.get(parameters_env):
        raise ValueError(f"the environment variable of {where} is not set")
    return os.environ[parameters_env]


def merged(parameters: Mapping[str, Any], secret: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the secret ones among them.

    >>> merged({"tenant": {"name": "us"}}, {"tenant": {"token": "t-1"}})
    {'tenant': {'name': 'us', 'token': 't-1'}}

    Raises:
        ValueError: both give the same parameter.
    """
    result = dict(parameters)
    for name, value in secret.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[name] = merged(before, value)
        elif before is None:
            result[name] = value
        else:
            raise ValueError(f"parameters and parameters_env both give {name}")
    return result
