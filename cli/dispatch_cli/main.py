"""The program: global options, commands and exit codes."""

import os
import sys
from datetime import UTC
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dispatch_cli.commands import (
    configuration,
    dead_letters,
    deliveries,
    messages,
    preferences,
    service,
    suppressions,
)
from dispatch_cli.commands.options import App, in_words, path_of
from dispatch_cli.failures import Exit, Failure, RejectedFailure, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import PROGRAM, ignore_tiny_width, make_encodable

EPILOG = (
    "The service's address is DISPATCH_URL, the credential DISPATCH_TOKEN or DISPATCH_API_KEY; "
    "a profile can hold both. Exit codes: 0 done, 1 rejected or not delivered, 2 wrong usage, "
    "3 no usable response, 4 not authorized, 5 still pending after --timeout."
)


class Commands(TyperGroup):
    """Turns every failure into a message and an exit code."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line, whose help may hold characters that the terminal lacks."""
        make_encodable()
        ignore_tiny_width()
        try:
            return super().make_context(*arguments, **options)
        except typer.TyperException as error:
            run = options.get("obj") or Run()
            failure = _usage_failure(error)
            run.screen.failure(failure)
            raise typer.Exit(failure.exit) from error

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        run = ctx.obj = ctx.obj or Run()
        try:
            try:
                return super().invoke(ctx)
            except Failure as failure:
                _show(run, failure)
                raise typer.Exit(failure.exit) from failure
            except typer.TyperException as error:
                run.screen.failure(wrong_usage := _usage_failure(error))
                raise typer.Exit(wrong_usage.exit) from error
        except BrokenPipeError as error:
            # The reader has gone, such as head. Nothing more is written, not even at the exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            raise typer.Exit(Exit.BROKEN_PIPE) from error


def _usage_failure(error: typer.TyperException) -> UsageFailure:
    """Return an error of the parser in our own words."""
    text = error.format_message().rstrip(".")
    if not text:
        raise error  # the help was asked for, and is printed
    parameter = getattr(error, "param", None)
    if parameter is not None:
        is_argument = parameter.param_type_name == "argument"
        name = parameter.metavar if is_argument else parameter.opts[0]
        text = f"{name}: {_rule(error.message) if error.message else 'a value is required'}"
    context = getattr(error, "ctx", None)
    path = " ".join([PROGRAM, *path_of(context)]) if context else PROGRAM
    return UsageFailure(
        text if text.endswith("?") else f"{text}.", f"To see the options: {path} --help"
    )


def _rule(message: str) -> str:
    """Return a rule that a library states, in our own words."""
    rule, _, _ = message.removeprefix("Value error, ").rstrip(".").partition(", unable to parse")
    rule = rule.replace("Input should be", "must be").replace("valid integer", "whole number")
    return rule.replace("valid number", "number")


def _show(run: Run, failure: Failure) -> None:
    """Show a failure; field errors have the names of the command's options."""
    if isinstance(failure, RejectedFailure) and failure.field_errors:
        texts = [in_words(run.command, error) for error in failure.field_errors]
        details = texts if len(texts) > 1 else []
        text = f"{len(texts)} values are invalid." if details else texts[0]
        shown: Failure = RejectedFailure(text, failure.advice, details=[*failure.details, *details])
    else:
        shown = failure
    if run.as_json and failure.response is not None:
        run.screen.json(failure.response)
    run.screen.failure(shown)


app = App(
    cls=Commands,
    name=PROGRAM,
    no_args_is_help=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they could hold a token
)
for part in (messages, deliveries, preferences, configuration, service):
    app.add_typer(part.app)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=deliveries.PANEL)
app.add_typer(suppressions.app, name="suppressions", rich_help_panel=preferences.PANEL)


def _show_version(is_given: bool) -> None:  # noqa: FBT001 - typer passes it by position
    if is_given:
        typer.echo(f"dispatch {version('integration-dispatcher-cli')}")
        raise typer.Exit


@app.callback()
def dispatch(
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None, typer.Option(help="Profile to use; overrides the environment.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The service's address; overrides the environment.")
    ] = None,
    utc: Annotated[
        bool, typer.Option("--utc", help="Show times in UTC instead of local time.")
    ] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Fail instead of asking.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Send messages, follow their deliveries, and find out why one did not arrive."""
    run: Run = ctx.obj
    run.profile, run.url = profile, url
    run.zone = UTC if utc else None
    run.may_ask = not no_input
