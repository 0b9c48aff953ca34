"""Which words name which object: COCO's 80 categories with synonyms, or a
benchmark's own vocabulary.

A file (YAML or JSON) holds `objects`, object -> its other names; and may hold `not_objects`,
phrases that hold a name and are no object ("bus stop"), and `portions`, heads that portion what
stands before them ("pizza slice").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reward_fns.errors import UserError
from reward_fns.files import read_mapping

_COCO = Path(__file__).parent / "coco_synonyms.yaml"


@dataclass(frozen=True)
class Vocabulary:
    """Names of objects, lower case.

    Attributes:
        phrases: name -> object; "" for a phrase that names none.
        portions: see the module.
        longest: words in the longest name, a hyphen counted as one.
    """

    phrases: Mapping[str, str]
    portions: frozenset[str]
    longest: int

    @property
    def objects(self) -> frozenset[str]:
        """All objects."""
        return frozenset(self.phrases.values()) - {""}

    def lookup(self, name: str) -> str | None:
        """The object that a name stands for, by its longest ending; None if it is none.

        >>> coco().lookup("two red Sofas")
        'couch'
        """
        words = name.lower().split()
        for start in range(len(words)):
            for phrase in _singulars(words[start:]):
                if phrase in self.phrases:
                    return self.phrases[phrase] or None
        return None


def _singulars(words: Sequence[str]) -> Iterator[str]:
    """The phrase as it is, and with its last word singular in the ways that English has."""
    *before, last = words
    endings = [last]
    for plural, singular in (("ies", "y"), ("ves", "fe"), ("es", ""), ("s", "")):
        if last.endswith(plural):
            endings.append(last.removesuffix(plural) + singular)
    for ending in endings:
        yield " ".join([*before, ending])


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a file.

    Raises:
        UserError: it holds no objects, or a name stands for two of them.
    """
    content = read_mapping(path)
    objects = content.get("objects")
    if not isinstance(objects, dict) or not objects:
        raise UserError(f"{path} holds no `objects`: object -> list of its other names")
    phrases: dict[str, str] = {}
    for name, others in objects.items():
        for phrase in (name, *(others or ())):
            phrase = str(phrase).lower()
            if phrases.setdefault(phrase, str(name)) != str(name):
                raise UserError(f"{path}: {phrase!r} names {phrases[phrase]} and {name}: keep one")
    for phrase in content.get("not_objects") or ():
        phrases[str(phrase).lower()] = ""
    # A tokenizer cuts "double-decker" into three.
    longest = max(len(phrase.split()) + 2 * phrase.count("-") for phrase in phrases)
    return Vocabulary(phrases, frozenset(content.get("portions") or ()), longest)


@cache
def coco() -> Vocabulary:
    """COCO's 80 categories."""
    return read_vocabulary(_COCO)
