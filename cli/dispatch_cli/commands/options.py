"""Arguments and options of several commands."""

from enum import StrEnum
from typing import Annotated

import typer

from dispatch_cli.failures import UsageFailure
from dispatch_cli.run import Run

TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
"""Suggestions for the shell's completion; the service decides which types exist."""


class Format(StrEnum):
    """The output formats."""

    TABLE = "table"
    JSON = "json"


def run_of(ctx: typer.Context) -> Run:
    """Return the run of a command."""
    run: Run = ctx.obj
    return run


def _remember(ctx: typer.Context, value: Format) -> Format:
    if ctx.obj is not None:
        run_of(ctx).as_json = value is Format.JSON
    return value


def named_values(texts: list[str], option: str) -> dict[str, str]:
    """Parse ``NAME=VALUE`` texts."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageFailure(
                f"{option}: {text!r} has no name or no =.", f"Write {option} NAME=VALUE."
            )
        values[name] = value
    return values


User = Annotated[str, typer.Argument(metavar="USER", help="The user's ID.", show_default=False)]
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
    str, typer.Argument(metavar="DELIVERY_ID", help="The delivery's ID.", show_default=False)
]
Output = Annotated[
    Format,
    typer.Option(
        "--output", "-o", help="A readable table, or the service's JSON.", callback=_remember
    ),
]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
