"""Errors that the user has to mend."""


class UserError(ValueError):
    """An input that the user has to mend; one line that names the thing and the remedy."""


class ConfigurationError(UserError):
    """No sample like this one can be scored as the run is set up: the run has to end.

    Its options are wrong, or its data has a layout that cannot be read. What a response says or a
    judge does is never one. The message names the option or the sample, and the remedy.
    """
