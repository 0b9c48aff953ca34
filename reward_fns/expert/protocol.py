"""What every expert can do."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

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
        """Identifies the instructions for this request: verdicts of another
        version are not reused.
        """
        ...


@runtime_checkable
class EarlierVersions(Protocol):
    """An expert that knows earlier instructions whose kept verdicts are as good as its own."""

    def earlier_versions(self, request: Request[Any]) -> tuple[str, ...]:
        """Those versions for this request, the latest first; () if there are none."""
        ...


def identity_of(expert: object) -> Mapping[str, Any] | None:
    """What its verdicts depend on beside its name: its `identity`, for a served model the server
    and the parameters, as JSON; None for one that its name alone tells apart."""
    identity = getattr(expert, "identity", None)
    return identity if isinstance(identity, Mapping) else None
