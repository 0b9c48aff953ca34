"""File names from names that users chose: dataset tags, protocols."""

from collections.abc import Iterable
from itertools import chain, count


def file_stem(name: str) -> str:
    """The name with `_` for what a file name may not hold.

    >>> file_stem("a/b c"), file_stem("pcr+isotonic")
    ('a_b_c', 'pcr+isotonic')
    """
    return "".join(c if c.isalnum() or c in "-.+" else "_" for c in name)


def distinct_stems(names: Iterable[str]) -> dict[str, str]:
    """Name -> stem, another one for each name, also where the file system does not tell A from a.

    >>> distinct_stems(["a/b", "a b", "A_b"])
    {'A_b': 'A_b', 'a b': 'a_b_2', 'a/b': 'a_b_3'}
    """
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        stem = file_stem(name)
        numbered = (f"{stem}_{k}" for k in count(2))
        free = next(s for s in chain([stem], numbered) if s.casefold() not in taken)
        stems[name] = free
        taken.add(free.casefold())
    return stems
