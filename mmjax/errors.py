"""The one exception for what a user got wrong; the front door prints it as one line and exits with status 2."""


class UserError(Exception):
    """Says what was wrong and what would be right, in one line, naming the file, the field or the flag."""
