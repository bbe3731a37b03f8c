"""Service health, diagnosis of a user, and login."""

import sys
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.configuration import show_settings
from dispatch_cli.commands.deliveries import DeliveryTable
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
DIAGNOSED = 20
"""Deliveries that a diagnosis reads."""

LISTED = 8
"""Deliveries that it shows."""

MARKS = {"fault": ("✗", "red"), "choice": ("•", "yellow"), "fine": ("✓", "green")}

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def health(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Show service health (exit code 1 if unhealthy).

    Example: dispatch health
    """
    run = run_of(ctx)
    report = run.service.get(*HEALTH)
    run.show(report, lambda report: show_health(run, report))
    if report["status"] == "unhealthy":
        raise typer.Exit(Exit.REJECTED)


@app.command(rich_help_panel=PANEL)
def doctor(
    ctx: typer.Context,
    user: User,
    *,
    request_id: Annotated[
        str | None, typer.Option(help="Diagnose only the deliveries of this request.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--svg", help="Also save the page as an SVG file.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain why a user did not get a message, on one page.

    Example: dispatch doctor ada
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user)
    responses = {
        "configuration": run.service.get(*path, "integration-defaults"),
        "history": run.service.get(*path, "deliveries", limit=DIAGNOSED, request_id=request_id),
        "health": run.service.get(*HEALTH),
    }
    run.screen.out.record = picture is not None
    run.show(responses, lambda responses: show_page(run, user, responses, request_id))
    if picture is not None:
        try:
            picture.write_text(svg(run.screen.out, f"dispatch doctor {user}"))
        except OSError as error:
            raise UsageFailure(f"--svg: {picture} cannot be written: {error}") from error


@app.command(rich_help_panel=PANEL)
def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The service's address.")],
    *,
    profile: Annotated[str, typer.Option(help="The profile's name.")] = DEFAULT_PROFILE,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="The credential is an API key, not a token.")
    ] = False,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack.")] = None,
) -> None:
    """Store a service address and its credential in a profile.

    The token or API key is read from a pipe, or asked for.

    Example: dispatch login https://abc.execute-api.eu-central-1.amazonaws.com/prod --profile prod
    """
    run = run_of(ctx)
    read_profile(run.environ, None)  # an unreadable file is reported before asking for the token
    prompt = "API key: " if api_key else "Token: "
    is_piped = not sys.stdin.isatty()
    if not (is_piped or run.may_ask):
        raise UsageFailure("There is no terminal to ask for the token.", "Send it through a pipe.")
    secret = (sys.stdin.readline() if is_piped else getpass(prompt)).strip()
    kind = "api_key" if api_key else "token"
    settings = Settings(
        checked_url(url, "the argument"), "the argument", (kind, secret) if secret else None, stack
    )
    require_safe(settings)
    values = {"url": settings.url, kind: secret, "stack": stack or ""}
    values = {name: text for name, text in values.items() if text}
    file = write_profile(run.environ, profile, values)
    run.screen.say(f"Profile {profile} is stored in {file}.")
    # With --profile, because the environment may name another service; and not health, which needs
    # no credential.
    run.screen.advise(f"To check it: dispatch --profile {quote(profile)} defaults")


def show_health(run: Run, report: Mapping[str, Any]) -> None:
    """Show the health of the service and of each integration."""
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
                "yes" if integration["configured"] else "no",
                "enabled" if integration["enabled_by_default"] else "disabled",
                state.get(integration["healthy"], "-"),
                integration["detail"],
            )
            for name, integration in report["integrations"].items()
        ]
        run.screen.table(("INTEGRATION", "CONFIGURED", "DEFAULT", "STATE", "DETAIL"), rows)


def show_page(run: Run, user: str, responses: Mapping[str, Any], request_id: str | None) -> None:
    """Show the findings, then the responses that they come from."""
    configuration, deliveries = responses["configuration"], responses["history"]["deliveries"]
    health = responses["health"]
    found = findings(user, configuration, deliveries, health, run.now(), request_id=request_id)
    run.screen.say(f"{user} at {run.settings.url}, {moment(run.now(), run.zone)}", "bold")
    run.screen.say()
    show_findings(run, found)
    _head(run, "Effective configuration")
    if configuration["effective_configs"]:
        show_settings(run.screen, configuration["effective_configs"])
    _head(run, "Not used")
    run.screen.points(words.grouped(user, words.disabled(configuration, health)))
    if deliveries:
        _head(run, "Recent deliveries")
        table = DeliveryTable(run, subject=True)
        table.head()
        for delivery in deliveries[:LISTED]:
            table.row(delivery)
    _head(run, "Service")
    run.screen.say(f"{health['service']} {health['version']} is {health['status']}")
    for name, integration in health["integrations"].items():
        if integration["healthy"] is False:
            run.screen.say(f"{name}: {integration['detail']}", "red")


def show_findings(run: Run, found: Sequence[Finding]) -> None:
    """Show each finding with its next step."""
    for finding in found:
        mark, style = MARKS[finding.kind]
        run.screen.bullet(mark, style, finding.text, finding.advice)


def _head(run: Run, text: str) -> None:
    run.screen.say()
    run.screen.say(text, "bold underline")
