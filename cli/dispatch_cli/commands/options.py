"""Arguments and options of several commands."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from shlex import join
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType as CommandFunction

from dispatch_cli.failures import FieldError, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import PROGRAM

TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
"""Suggestions for the shell's completion; the service decides which types exist."""


class Format(StrEnum):
    """The output formats."""

    TABLE = "table"
    JSON = "json"


class Command(TyperCommand):
    """A command whose usage names an argument as its help does: ``USER``, not ``{USER}``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class App(typer.Typer):
    """A group of such commands."""

    def command(
        self, name: str | None = None, **options: Any
    ) -> Callable[[CommandFunction], CommandFunction]:
        """Register a function as a command."""
        return super().command(name, cls=Command, **options)


def run_of(ctx: typer.Context) -> Run:
    """Return the run of a command."""
    run: Run = ctx.obj
    run.command = ctx
    return run


def _remember(ctx: typer.Context, value: Any) -> Any:
    if ctx.obj is not None and value in {Format.JSON, True}:
        ctx.obj.as_json = True
    return value


def repeated(ctx: typer.Context, options: Mapping[str, str | None]) -> str:
    """Return the command that runs with other values of some options, to be typed again.

    An option whose value is ``None`` is a flag.
    """
    arguments: list[str] = []
    words: list[str] = []
    for parameter in ctx.command.params:
        value = ctx.params.get(str(parameter.name))
        if parameter.param_type_name == "argument":
            arguments += _texts(value)
        elif parameter.opts[0] not in options and value != parameter.default:
            words += _option(parameter, value)
    words += [word for name, value in options.items() for word in (name, value) if word is not None]
    # An argument that begins with a hyphen would be read as an option; a single one is no option.
    if any(text.startswith("-") and text != "-" for text in arguments):
        return join([PROGRAM, *path_of(ctx), *words, "--", *arguments])
    return join([PROGRAM, *path_of(ctx), *arguments, *words])


def path_of(ctx: Any) -> list[str]:
    """Return the name of a command after the program's: ``override``, ``set``."""
    return [] if ctx.parent is None else [*path_of(ctx.parent), ctx.info_name]


def _option(parameter: Any, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield parameter.opts[0] if value else parameter.secondary_opts[0]
        return
    for text in _texts(value):
        yield parameter.opts[0]
        yield text


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [str(getattr(each, "value", each)) for each in values]


CONTAINERS = {"recipient", "config"}
"""The objects of a body whose members are separate options."""

ALIASES = {
    "categories": "category",
    "muted_until": "until",
    "config": "settings",
    "headers": "header",
    "template_variables": "variables",
    "user_id": "user",
}
"""The parameters of commands that hold a member of a body under another name."""


def in_words(ctx: typer.Context, field_error: FieldError) -> str:
    """Return a rejected value with the option or argument that it comes from."""
    steps = [
        step.replace("~1", "/").replace("~0", "~") for step in field_error.pointer.split("/")[1:]
    ]
    name = _name(ctx, steps)
    return f"{name or 'request'}: {field_error.detail}"


def _name(ctx: Any, steps: list[str]) -> str:
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    inner = steps[1:] if len(steps) > 1 and steps[0] in CONTAINERS else []
    for first, *rest in filter(None, (inner, steps)):
        parameter = parameters.get(first) or parameters.get(ALIASES.get(first, ""))
        if parameter is None:
            continue
        if parameter.param_type_name == "argument":
            return str(parameter.metavar)
        values = ctx.params.get(parameter.name)
        return " ".join((parameter.opts[0], *(_given(values, step) for step in rest)))
    return ".".join(steps)


def _given(values: Any, step: str) -> str:
    """Return the value at a place of a list, which says more than the place; else the step."""
    is_place = step.isdecimal() and isinstance(values, list) and int(step) < len(values)
    return str(values[int(step)]) if is_place else step


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
Json = Annotated[bool, typer.Option("--json", help="Short for --output json.", callback=_remember)]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
