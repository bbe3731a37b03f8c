"""The service as a whole, and why a user did not get a message."""

import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.configuration import show_settings
from dispatch_cli.commands.deliveries import show_delivery_row, table_of_deliveries
from dispatch_cli.commands.options import Format, Output, User, run_of
from dispatch_cli.diagnosis import Finding, findings
from dispatch_cli.failures import Exit, UsageFailure
from dispatch_cli.picture import svg
from dispatch_cli.run import Run
from dispatch_cli.service import HEALTH
from dispatch_cli.settings import (
    DEFAULT_PROFILE,
    Settings,
    checked_url,
    read_profile,
    require_safe,
    write_profile,
)
from dispatch_cli.times import moment

PANEL = "Service"
LATELY = 20
"""Deliveries that a diagnosis looks at."""

SHOWN = 8
"""Deliveries that it shows."""

MARKS = {"fault": ("✗", "red"), "choice": ("•", "yellow"), "fine": ("✓", "green")}

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def health(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Show how the service is; 1 if it cannot work."""
    run = run_of(ctx)
    report = run.service.get(*HEALTH)
    run.show(report, lambda shown: show_health(run, shown))
    if report["status"] == "unhealthy":
        raise typer.Exit(Exit.REFUSED)


@app.command(rich_help_panel=PANEL)
def doctor(
    ctx: typer.Context,
    user: User,
    *,
    request_id: Annotated[str | None, typer.Option(help="Look at this message alone.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--svg", help="Save the page as a picture, too.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain, on one page, why a user did not get a message."""
    run = run_of(ctx)
    place = ("api", "v1", "users", user)
    answer = {
        "configuration": run.service.get(*place, "integration-defaults"),
        "history": run.service.get(*place, "deliveries", limit=LATELY, request_id=request_id),
        "health": run.service.get(*HEALTH),
    }
    run.screen.out.record = picture is not None
    run.show(answer, lambda shown: show_page(run, user, shown, request_id))
    if picture is not None:
        try:
            picture.write_text(svg(run.screen.out, f"dispatch doctor {user}"))
        except OSError as error:
            raise UsageFailure(f"{picture} cannot be written: {error}") from error


@app.command(rich_help_panel=PANEL)
def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the service answers.")],
    *,
    profile: Annotated[str, typer.Option(help="The name to keep it under.")] = DEFAULT_PROFILE,
    api_key: Annotated[bool, typer.Option("--api-key", help="It is an API key.")] = False,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack.")] = None,
) -> None:
    """Keep an address and its token in a profile; the token is asked for, or read from a pipe."""
    run = run_of(ctx)
    read_profile(run.environ, None)  # a file that cannot be read is told before anybody is asked
    asked = "API key: " if api_key else "Token: "
    piped = not sys.stdin.isatty()
    if not (piped or run.may_ask):
        raise UsageFailure("Nobody can be asked for the token.", "Send it through a pipe.")
    secret = (sys.stdin.readline() if piped else getpass(asked)).strip()
    kind = "api_key" if api_key else "token"
    settings = Settings(
        checked_url(url, "the argument"), "the argument", (kind, secret) if secret else None, stack
    )
    require_safe(settings)
    kept = {"url": settings.url, kind: secret, "stack": stack or ""}
    file = write_profile(run.environ, profile, {name: text for name, text in kept.items() if text})
    run.screen.say(f"Profile {profile} is in {file}.")
    # Named, for the environment may say otherwise; and not health, which lets everybody in.
    run.screen.advise(f"To see whether it works: dispatch --profile {quote(profile)} defaults")


def show_health(run: Run, report: Mapping[str, Any]) -> None:
    """Show the state of the service and of each integration."""
    style = {"healthy": "green", "degraded": "yellow"}.get(report["status"], "red")
    run.screen.say(f"{report['service']} {report['version']} is {report['status']}", style)
    if report.get("detail"):
        run.screen.say(report["detail"])
    if report["integrations"]:
        run.screen.say()
        state = {True: "healthy", False: "failing", None: "-"}
        rows = [
            (
                name,
                "yes" if one["configured"] else "no",
                "yes" if one["enabled_by_default"] else "no",
                state.get(one["healthy"], "-"),
                one["detail"],
            )
            for name, one in report["integrations"].items()
        ]
        run.screen.table(("INTEGRATION", "CONFIGURED", "ON BY DEFAULT", "STATE", "DETAIL"), rows)


def show_page(run: Run, user: str, answer: Mapping[str, Any], request_id: str | None) -> None:
    """Show the findings first, and then what they were found in."""
    configuration, deliveries = answer["configuration"], answer["history"]["deliveries"]
    found = findings(
        user, configuration, deliveries, answer["health"], run.now(), request_id=request_id
    )
    run.screen.say(f"{user} at {run.settings.url}, {moment(run.now(), run.zone)}", "bold")
    run.screen.say()
    show_findings(run, found)
    _head(run, "What a message would use now")
    if configuration["effective_configs"]:
        show_settings(run.screen, configuration["effective_configs"])
    _head(run, "What it would not use")
    unused = words.unused(configuration, answer["health"])
    run.screen.points(words.together(user, unused))
    if deliveries:
        _head(run, "Last deliveries")
        listing = table_of_deliveries(run)
        listing.head()
        for one in deliveries[:SHOWN]:
            show_delivery_row(run, listing, one)
    _head(run, "Service")
    health = answer["health"]
    run.screen.say(f"{health['service']} {health['version']} is {health['status']}")
    for name, one in health["integrations"].items():
        if one["healthy"] is False:
            run.screen.say(f"{name}: {one['detail']}", "red")


def show_findings(run: Run, found: Sequence[Finding]) -> None:
    """Show each finding with what to do about it."""
    for one in found:
        mark, style = MARKS[one.kind]
        run.screen.bullet(mark, style, one.text, one.advice)


def _head(run: Run, text: str) -> None:
    run.screen.say()
    run.screen.say(text, "bold underline")
