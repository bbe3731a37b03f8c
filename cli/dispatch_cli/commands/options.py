"""What several commands take."""

from enum import StrEnum
from typing import Annotated

import typer

from dispatch_cli.failures import UsageFailure
from dispatch_cli.run import Run

TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
"""Only offered by the shell's completion: which there are, the service knows."""


class Format(StrEnum):
    """How an answer is shown."""

    TABLE = "table"
    JSON = "json"


def run_of(ctx: typer.Context) -> Run:
    """Return the run that a command belongs to."""
    run: Run = ctx.obj
    return run


def _remember(ctx: typer.Context, value: Format) -> Format:
    if ctx.obj is not None:
        run_of(ctx).as_json = value is Format.JSON
    return value


def named_values(texts: list[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts."""
    named = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageFailure(f"{option} {text!r} cannot be read.", f"Write {option} NAME=VALUE.")
        named[name] = value
    return named


User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.", show_default=False)]
Type = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        help="The integration, such as SLACK or WEBHOOK.",
        show_default=False,
        autocompletion=lambda: list(TYPES),
    ),
]
Delivery = Annotated[
    str, typer.Argument(metavar="DELIVERY", help="The delivery's id.", show_default=False)
]
Output = Annotated[
    Format,
    typer.Option("--output", "-o", help="For people, or the service's JSON.", callback=_remember),
]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
