"""The entry script's variables: looked at before the first stage, and written so that Hydra
reads them as they stand.

    python -m recipe.difficulty_calib.variables check KEY=VALUE ...
                                                               EXPERT, the paths' characters, and
                                                               secrets among the Hydra keys
    python -m recipe.difficulty_calib.variables expert         EXPERT as a value of a Hydra override
    python -m recipe.difficulty_calib.variables text TEXT      TEXT, such as a path, likewise

Hydra's grammar gives a meaning to ``= , ( [ ' & #`` and to letters such as ``ü`` unless a value is
quoted, and takes no quoted key: https://hydra.cc/docs/advanced/override_grammar/basic/
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from reward_fns.errors import UserError

_NOT_IN_A_KEY = re.compile(r"[^\w/\-+.$%*@?|\\()\[\]{}:=, \t]|[^\x00-\x7f]")
_ESCAPED_IN_A_KEY = re.compile(r"([\\()\[\]{}:=, \t])")


def quoted(text: str) -> str:
    r"""A text as a value of a Hydra override.

    >>> print(quoted("/data/it's=ü,(x"), quoted("${oc.env:HOME}"))
    '/data/it\'s=ü,(x' '\${oc.env:HOME}'
    """
    # Backslashes count as escapes only before a quote, before an interpolation, and
    # before the closing quote.
    text = re.sub(r"(\\*)(\$\{)", lambda found: 2 * found[1] + "\\" + found[2], text)
    text = re.sub(r"(\\*)'", lambda found: 2 * found[1] + r"\'", text)
    return "'" + re.sub(r"\\+$", lambda found: 2 * found[0], text) + "'"


def hydra_value(value: Any) -> str:
    """A value of JSON as a value of a Hydra override.

    >>> hydra_value({"prices": {"gpt-4.1": [1, None]}})
    '{prices:{gpt-4.1:[1,null]}}'

    Raises:
        UserError: a key holds a character that Hydra has no way to write.
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(key))}:{hydra_value(item)}" for key, item in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    return json.dumps(value)


def _key(text: str) -> str:
    found = _NOT_IN_A_KEY.search(text)
    if found or not text.strip() or text != text.strip() or _is_no_text(text):
        raise UserError(f"EXPERT has the key {text!r}, which cannot be written for Hydra")
    return _ESCAPED_IN_A_KEY.sub(r"\\\1", text)


_OF_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env:\s*([^,}\s]+)")

# In an address; a password may hold a slash, a name an @. Digits behind the colon are a port.
_PASSWORD = re.compile(r"//[^/]*:(?![0-9]+(?:[/?#]|$))[^@]*@")


def _is_no_text(text: str) -> bool:
    """Whether Hydra reads a number or a word of its own there."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("null", "true", "false")
    return True


def expert_of(environment: Mapping[str, str]) -> str | dict[str, Any]:
    """EXPERT: a kind, or the JSON object of its options.

    Raises:
        UserError: it begins as JSON and is none.
    """
    text = environment.get("EXPERT", "").strip() or "oracle"
    if not text.startswith("{"):
        return text
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        # The text is not shown: what is wrong with it may be a password.
        raise UserError(f"EXPERT is not JSON ({error})") from error
    assert isinstance(options, dict)
    return options


def check(environment: Mapping[str, str], keys: Sequence[str] = ()) -> None:
    """Refuse what would end a later stage, and secrets that one would show; the script itself looks
    at SEED and RUN, before the install.

    Args:
        keys: Hydra overrides of GRPO; those of SFT are in SFT_ARGS.

    Raises:
        UserError: a variable or a key, named, is not what it has to be.
    """
    from reward_fns.expert import make_expert

    for name in ("RUN", "MODEL", "CONFIG", "DATA"):
        if not environment.get(name, "").isprintable():
            raise UserError(
                f"{name}={environment[name]!r} holds a line break or another control character"
            )
    for key in (*keys, *environment.get("SFT_ARGS", "").split()):
        refuse_secret_key(key, environment)
    expert = expert_of(environment)
    # verl prints and tracks its configuration, and `ps` shows a command.
    if isinstance(expert, dict) and _PASSWORD.search(str(expert.get("base_url"))):
        raise UserError(
            "EXPERT has a password in base_url, which logs would show: write "
            "http://NAME@HOST/v1, and name the environment variable that holds the "
            "password by password_env"
        )
    refuse_secrets(expert, environment)
    hydra_value(expert)
    # verl resolves its configuration twice, and tracks it: the value would stand there.
    if "${" in json.dumps(expert):
        raise UserError(
            "EXPERT holds a ${...}, which is for the YAML of stage one: name the environment "
            "variable of a key by api_key_env, of a password by password_env"
        )
    try:
        make_expert(expert)
    except ValueError as error:
        raise UserError(f"EXPERT: {error}") from error


def refuse_secrets(expert: str | Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse an expert whose options hold what looks like a secret: verl prints and tracks them.

    Raises:
        UserError: they do; where is said, not what.
    """
    from reward_fns.expert.serving.secret_options import known_secrets, secrets_in

    found = next(secrets_in(expert, known_secrets(environment)), None)
    if found is None:
        return
    where = ".".join(found) or "its place"
    start = f"EXPERT has what looks like a secret in {where}, which logs would show: "
    if found[:1] != ("parameters",):
        raise UserError(
            f"{start}name the environment variable that holds it (a key: api_key_env, a password: "
            "password_env, what goes into a request's body: parameters_env; a class of your own: "
            "an option of its own)"
        )
    named: Any = "VARIABLE"
    for name in reversed(found[1:]):
        named = {name: named}
    raise UserError(
        f"{start}name the environment variable that holds it, "
        f"{json.dumps({'parameters_env': named})} (the server's key: api_key_env)"
    )


def refuse_secret_key(key: str, environment: Mapping[str, str]) -> None:
    """Refuse a Hydra override with what looks like a secret; ``${oc.env:...}`` of one is resolved
    before verl prints it.

    Raises:
        UserError: it has; the secret is not shown.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from reward_fns.expert.serving.secret_options import is_secret_name, known_secrets, secrets_in

    name = key.partition("=")[0]
    try:
        override = OverridesParser.create().parse_override(key)
    except (HydraException, RecursionError) as error:
        # Hydra's own message would show the value.
        raise UserError(f"{name}: Hydra cannot read its value, quote it") from error
    if override.is_sweep_override():
        raise UserError(f"{name} has several values: the script trains once, give it one")
    options = override.value()
    for part in reversed(override.key_or_group.split(".")):
        options = {part: options}
    known = known_secrets(environment)
    found = next(secrets_in(options, known), None)
    of_environment = [
        variable
        for variable in _OF_ENVIRONMENT.findall(key)
        if is_secret_name(name)
        or is_secret_name(variable)
        or list(secrets_in(environment.get(variable, ""), known))
    ]
    if found is not None or of_environment:
        where = (
            ".".join(found)
            if found is not None
            else f"{override.key_or_group}, ${{oc.env:{of_environment[0]}}},"
        )
        raise UserError(
            f"{where} has what looks like a secret, which verl prints and tracks: leave it out; an "
            "expert's is named in EXPERT by api_key_env, password_env or parameters_env, and "
            "trackers read theirs from the environment"
        )


def main(arguments: Sequence[str]) -> int:
    """See the module docstring."""
    try:
        match arguments:
            case ["check", *keys]:
                check(os.environ, keys)
            case ["expert"]:
                print(hydra_value(expert_of(os.environ)))
            case ["text", text]:
                print(quoted(text))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except UserError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
