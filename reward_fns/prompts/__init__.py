"""Prompt templates: one text file a prompt, in this project's own words (inputs and
outputs follow appendix A.8).

A template declares its placeholders by writing them as ``{name}``. `render` substitutes all of
them in one pass, so text that a user or a model wrote (it may hold braces or even ``{answer}``) is
never read as a template.
"""

import re
from functools import cache
from importlib.resources import files

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@cache
def template(name: str) -> str:
    """The text of ``reward_fns/prompts/<name>.txt``, without the final newline.

    Raises:
        ValueError: no such template; the message lists those there are.
    """
    folder = files(__package__)
    path = folder / f"{name}.txt"
    if not path.is_file():
        known = sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".txt"))
        raise ValueError(f"no prompt template {name!r}; there are {', '.join(known)}")
    return path.read_text(encoding="utf-8").removesuffix("\n")


def placeholders(name: str) -> frozenset[str]:
    """Names that the template declares."""
    return frozenset(_PLACEHOLDER.findall(template(name)))


def render(name: str, **values: str) -> str:
    """The template with every placeholder replaced by its value.

    Raises:
        ValueError: unknown template, or the values are not exactly the declared placeholders.
    """
    declared = placeholders(name)
    if declared != values.keys():
        raise ValueError(f"prompt {name!r} takes {sorted(declared)}, got {sorted(values)}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template(name))
