"""An oracle that fails on every fifth request, for runs in processes of their own."""

from reward_fns.expert import ExpertError
from reward_fns.expert.oracle import OracleExpert


class FlakyExpert:
    name = "flaky"

    def __init__(self):
        self._oracle = OracleExpert()
        self._asked = 0

    async def ask(self, request):
        self._asked += 1
        if self._asked % 5 == 0:
            raise ExpertError("the judge is down")
        return await self._oracle.ask(request)
