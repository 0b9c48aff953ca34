"""What every expert can do."""

from typing import Any, Protocol

from reward_fns.expert.requests import Request, V


class Expert(Protocol):
    """Anything that judges. `name` identifies it in records."""

    @property
    def name(self) -> str: ...

    async def ask(self, request: Request[V]) -> V:
        """The verdict on one request.

        Raises:
            ExpertError: no usable verdict, or a kind of request that this expert cannot answer.
        """
        ...


class VersionedExpert(Expert, Protocol):
    """An expert whose verdicts may be kept, since it names the instructions that they depend on."""

    def prompt_version(self, request: Request[Any]) -> str:
        """Identifies the instructions for this request: verdicts of another version are not reused."""
        ...
