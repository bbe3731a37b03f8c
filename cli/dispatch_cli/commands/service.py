"""Service health, diagnosis of a user, and login."""

import itertools
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from getpass import getpass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any
from urllib.parse import quote as encoded

import typer

from dispatch_cli import words
from dispatch_cli.commands.configuration import show_settings
from dispatch_cli.commands.deliveries import DeliveryTable, request_of, show_request
from dispatch_cli.commands.options import App, Format, Json, Output, User, run_of
from dispatch_cli.diagnosis import findings
from dispatch_cli.failures import (
    Exit,
    Failure,
    NotAuthorizedFailure,
    RejectedFailure,
    UsageFailure,
    cause,
)
from dispatch_cli.picture import svg
from dispatch_cli.run import Run
from dispatch_cli.screen import Screen
from dispatch_cli.sent import recall
from dispatch_cli.service import HEALTH, Service
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

RECALLED = 5
"""Requests from this machine that it looks up."""

LISTED = 8
"""Deliveries that it shows."""

MARKS = {"fault": ("✗", "red"), "choice": ("•", "yellow"), "fine": ("✓", "green")}

app = App()


@app.command(rich_help_panel=PANEL)
def health(ctx: typer.Context, *, output: Output = Format.TABLE, as_json: Json = False) -> None:
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
        str | None,
        typer.Option("--request", "--request-id", help="Explain what became of this request."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--svg", help="Also save the page as an SVG file.")
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
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
        "preferences": run.service.get(*path, "preferences"),
        "suppressions": run.service.get(*path, "suppressions"),
        "integrations": run.service.get(*path, "integrations"),
    }
    deliveries = responses["history"]["deliveries"]
    responses["requests"] = (
        [request_of(run, user, request_id)] if request_id else _skipped(run, user, deliveries)
    )
    run.show(responses, lambda responses: show_page(run, run.screen, user, responses))
    if picture is not None:
        drawing = run.screen.picture()
        show_page(run, drawing, user, responses)
        try:
            picture.write_text(svg(drawing.out, f"dispatch doctor {user}"), encoding="utf-8")
        except OSError as error:
            raise UsageFailure(f"--svg: {picture} cannot be written: {cause(error)}.") from error


def _skipped(run: Run, user: str, deliveries: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the requests from this machine that are newer than the history and have no delivery.

    The history lists deliveries, so it does not know them.
    """
    known = {delivery["request_id"] for delivery in deliveries}
    recalled = recall(run.environ, run.settings.url, user)
    newer = itertools.takewhile(lambda request_id: request_id not in known, recalled)
    requests = []
    for request_id in itertools.islice(newer, RECALLED):
        try:
            request = run.service.get("api", "v1", "users", user, "requests", request_id)
        except RejectedFailure as failure:
            if failure.status != 404:  # 404: no longer stored
                raise
            continue
        if not request["deliveries"]:
            requests.append(request)
    return requests


@app.command(rich_help_panel=PANEL)
def console(
    ctx: typer.Context,
    user: Annotated[
        str | None,
        typer.Argument(metavar="USER", help="The user's ID.", show_default=False),
    ] = None,
    *,
    is_opened: Annotated[bool, typer.Option("--open", help="Also open it in a browser.")] = False,
) -> None:
    """Print the address of the web console, or of a user's page in it.

    The service is not called, and no credential is passed on: the console has its own sign-in.

    Example: dispatch console ada --open
    """
    run = run_of(ctx)
    # In the fragment, which no server sees.
    page = f"#/u/{encoded(user, safe='')}/what" if user else ""
    address = f"{run.settings.url}/console{page}"
    run.screen.say(address)
    if is_opened and not webbrowser.open(address):
        raise UsageFailure("--open: no browser could be started.", "Open the address yourself.")


@app.command(rich_help_panel=PANEL)
def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The service's address.")],
    *,
    profile: Annotated[
        str | None,
        typer.Option(help="The profile's name.", show_default=DEFAULT_PROFILE),
    ] = None,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="The credential is an API key, not a token.")
    ] = False,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack.")] = None,
) -> None:
    """Store a service address and its credential in a profile.

    The token or API key is read from a pipe, or asked for. The service is called once: if it
    rejects the credential, or does not respond, the profile stays as it was.

    Example: dispatch login https://abc.execute-api.eu-central-1.amazonaws.com/prod --profile prod
    """
    run = run_of(ctx)
    read_profile(run.environ, None)  # an unreadable file is reported before asking for the token
    prompt = "API key: " if api_key else "Token: "
    is_piped = not sys.stdin.isatty()
    if not (is_piped or run.may_ask):
        raise UsageFailure(
            "--no-input: the token or API key is not asked for.", "Send it through a pipe."
        )
    secret = (sys.stdin.readline() if is_piped else getpass(prompt)).strip()
    kind = "api_key" if api_key else "token"
    name = profile or run.profile or DEFAULT_PROFILE
    settings = Settings(
        checked_url(url, "the argument"),
        "the argument",
        (kind, secret) if secret else None,
        stack,
        profile=None if name == DEFAULT_PROFILE else name,
        credential_origin="standard input" if is_piped else "the prompt",
    )
    require_safe(settings)
    try:
        # Not health, which needs no credential.
        Service(settings).get("api", "v1", "integration-defaults")
    except Failure as failure:
        if not (isinstance(failure, NotAuthorizedFailure) and failure.lacks_scope):
            failure.advice = f"{failure.advice}\nProfile {name} was not changed.".strip()
            raise
        # A service key may only have the scope dispatch:send.
        run.screen.note(str(failure))
    values = {"url": settings.url, kind: secret, "stack": stack or ""}
    values = {key: text for key, text in values.items() if text}
    file = write_profile(run.environ, name, values)
    run.screen.say(f"The service accepts the credential. Profile {name} is stored in {file}.")
    # With --profile, because the environment may name another service.
    run.screen.advise(f"To use it: dispatch --profile {quote(name)} defaults")


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


def show_page(run: Run, screen: Screen, user: str, responses: Mapping[str, Any]) -> None:
    """Show the findings, then the responses that they come from."""
    configuration = {**responses["configuration"], **responses["integrations"]}
    deliveries = responses["history"]["deliveries"]
    health, requests = responses["health"], responses["requests"]
    found = findings(
        user,
        configuration,
        deliveries,
        health,
        run.now(),
        requests=requests,
        preferences=responses["preferences"],
        suppressions=responses["suppressions"]["suppressions"],
    )
    screen.say(f"{user} at {run.settings.url}, {moment(run.now(), run.zone)}", "bold")
    screen.say()
    for finding in found:
        mark, style = MARKS[finding.kind]
        screen.bullet(mark, style, finding.text, finding.advice)
    for request in requests:
        screen.say()
        show_request(run, screen, request, health)
    _head(screen, "Effective configuration")
    if configuration["effective_configs"]:
        show_settings(screen, configuration["effective_configs"])
    _head(screen, "Not used")
    screen.points(words.grouped(user, words.disabled(configuration, health)))
    if deliveries:
        _head(screen, "Recent deliveries")
        table = DeliveryTable(run, screen, subject=True)
        table.head()
        for delivery in deliveries[:LISTED]:
            table.row(delivery)
    _head(screen, "Service")
    screen.say(f"{health['service']} {health['version']} is {health['status']}")
    for name, integration in health["integrations"].items():
        if integration["healthy"] is False:
            screen.say(f"{name}: {integration['detail']}", "red")


def _head(screen: Screen, text: str) -> None:
    screen.say()
    screen.say(text, "bold underline")
