"""Replays recorded verdicts, offline: a cache directory, or a file exported from one.

A recording answers by the content of a request alone: it stays good when the prompts have changed since, and says by
which version and which model each verdict was given. Where it holds several verdicts on one content, the last counts.
"""

from pathlib import Path
from typing import Any, cast

from reward_fns.errors import UserError
from reward_fns.expert.errors import ExpertError
from reward_fns.expert.keeping.entries import content_key, from_entry, read_entries
from reward_fns.expert.requests import Request, V
from reward_fns.expert.stats import Stats


class ReplayExpert:
    """Answers from a recording and never asks anybody.

    Args:
        recorded: directory of a cache, or exported file.
        model: replays the verdicts of this judge only (its configured name); None takes those of all.

    Raises:
        UserError: nothing is recorded there, by this judge.
    """

    def __init__(self, recorded: str | Path, model: str | None = None) -> None:
        self._recorded = Path(recorded)
        self._entries: dict[str, dict[str, Any]] = {}
        judges: set[str] = set()
        for entry in sorted(read_entries(self._recorded), key=lambda entry: float(entry["time"])):
            judges.add(entry["judge"])
            if model in (None, entry["judge"]):
                self._entries[entry["content"]] = entry
        if not self._entries:
            raise UserError(
                f"{recorded} holds no verdict{f' of {model}' if model else ''}; judges there: {sorted(judges)}"
            )
        self.name = model or "+".join(sorted(judges))
        self.stats = Stats()

    def prompt_version(self, request: Request[Any]) -> str:
        """Empty: a recording is of whatever version it is."""
        return ""

    async def ask(self, request: Request[V]) -> V:
        """The recorded verdict.

        Raises:
            ExpertError: none is recorded for this request.
        """
        self.stats.asked += 1
        entry = self._entries.get(content_key(request))
        if entry is None:
            self.stats.failures["not recorded"] += 1
            about = getattr(request, "question", None) or type(request).__name__
            raise ExpertError(
                f"{self._recorded} holds no verdict on {str(about)[:80]!r}", "not recorded"
            )
        self.stats.cache_hits += 1
        return cast(V, from_entry(entry))
