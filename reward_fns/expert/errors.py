"""How an expert fails. A failure is never an answer: nobody may score one as a verdict of 0."""


class ExpertError(Exception):
    """The expert gave no usable verdict. Not the judged model's failure: never to be scored as one.

    `reason` is a short word for the counts: timeout, connection, 429, 5xx, malformed,
    unreadable, refused, ...
    """

    def __init__(self, message: str, reason: str = "other") -> None:
        super().__init__(message)
        self.reason = reason


class FatalExpertError(ExpertError):
    """No further request can succeed (bad key, unknown model, ...): the run has to end; the
    message has the remedy.
    """


class BudgetExhausted(FatalExpertError):
    """The budget in calls or tokens is spent; the message names the option that raises it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "budget")


class TransientError(ExpertError):
    """Worth another attempt. `retry_after` is the wait in seconds that the server asked for,
    None if it named none.
    """

    def __init__(self, message: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message, reason)
        self.retry_after = retry_after
