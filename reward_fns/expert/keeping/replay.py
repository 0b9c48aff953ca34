"""Replays recorded verdicts, offline: a cache directory, or a file exported from one.

A recording answers by the content of a request alone: it stays good when the prompts have changed
since, and says by which version and which model each verdict was given. Where it holds several
verdicts on one content, the last counts: `model` and `server` choose among several judges.
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
        model: replays the verdicts of this judge only (its configured name);
            None takes those of all.
        server: replays those of this server only, as `inspect` names it; None takes those of all.

    Raises:
        UserError: nothing is recorded there, by this judge.
    """

    def __init__(
        self, recorded: str | Path, model: str | None = None, server: str | None = None
    ) -> None:
        self._recorded = Path(recorded)
        self._entries: dict[str, dict[str, Any]] = {}
        judges: set[str] = set()
        servers: set[str] = set()
        for entry in sorted(read_entries(self._recorded), key=lambda entry: float(entry["time"])):
            judges.add(entry["judge"])
            asked = str((entry.get("identity") or {}).get("server"))
            servers.add(asked)
            if model in (None, entry["judge"]) and server in (None, asked):
                self._entries[entry["content"]] = entry
        if not self._entries:
            of = f" of {model}" if model else ""
            at = f" at {server}" if server else ""
            there = f"judges there: {sorted(judges)}" + (f" at {sorted(servers)}" if server else "")
            raise UserError(f"{recorded} holds no verdict{of}{at}; {there}")
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
