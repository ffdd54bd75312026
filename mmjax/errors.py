"""The exceptions that the front door prints as one line, without a traceback."""


class UserError(Exception):
    """What the user got wrong: says, in one line, what was wrong and what would be right. Exit status 2."""


class NonFinite(Exception):
    """A loss or gradient that is NaN or infinite: names step, losses and last good checkpoint. Exit status 1."""
