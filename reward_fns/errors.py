"""The one error type that the command line shows without a traceback."""


class UserError(ValueError):
    """An input that the user has to mend; the message is one line that names the thing and the remedy."""
