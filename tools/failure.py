"""The one exception of these tools."""


class ToolFailure(Exception):  # noqa: N818 - a person reads it as a sentence, not as a type
    """Say what went wrong and what to do about it, without a stack trace."""
