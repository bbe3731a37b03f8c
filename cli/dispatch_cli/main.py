"""The program: global options, commands and exit codes."""

from datetime import UTC
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dispatch_cli.commands import configuration, dead_letters, deliveries, messages, service
from dispatch_cli.failures import Failure
from dispatch_cli.run import Run

EPILOG = (
    "The service's address is DISPATCH_URL, the credential DISPATCH_TOKEN or DISPATCH_API_KEY; "
    "a profile can hold both. Exit codes: 0 done, 1 rejected or not delivered, 2 wrong usage, "
    "3 no usable response, 4 not authorized."
)


class Commands(TyperGroup):
    """Turns every failure into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        ctx.obj = ctx.obj or Run()
        try:
            return super().invoke(ctx)
        except Failure as failure:
            if ctx.obj.as_json and failure.response is not None:
                ctx.obj.screen.json(failure.response)
            ctx.obj.screen.failure(failure)
            raise typer.Exit(failure.exit) from failure


app = typer.Typer(
    cls=Commands,
    name="dispatch",
    no_args_is_help=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they could hold a token
)
for part in (messages, deliveries, configuration, service):
    app.add_typer(part.app)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=deliveries.PANEL)


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
    run.profile = profile
    run.zone = UTC if utc else None
    run.may_ask = not no_input
