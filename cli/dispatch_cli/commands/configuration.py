"""System defaults, overrides, and a user's effective configuration."""

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import (
    App,
    Format,
    Json,
    Output,
    Sure,
    Type,
    User,
    in_words,
    named_values,
    repeated,
    run_of,
)
from dispatch_cli.failures import RejectedFailure, UsageFailure, cause
from dispatch_cli.run import Run
from dispatch_cli.screen import Screen
from dispatch_cli.times import span

PANEL = "Configuration"
FIELDS = ("enabled", "priority", "retry_count", "retry_delay_seconds")

app = App()
override = App(no_args_is_help=True, help="Manage a user's overrides.")
app.add_typer(override, name="override", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def defaults(ctx: typer.Context, *, output: Output = Format.TABLE, as_json: Json = False) -> None:
    """Show the system defaults, which apply to users without overrides.

    Example: dispatch defaults
    """
    run = run_of(ctx)
    response = run.service.get("api", "v1", "integration-defaults")
    run.show(response, lambda response: show_settings(run.screen, response["default_integrations"]))


@app.command(rich_help_panel=PANEL)
def config(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Show a user's effective configuration, and why other integrations are not used.

    Example: dispatch config ada
    """
    run = run_of(ctx)
    response = run.service.get("api", "v1", "users", user, "integration-defaults")
    run.show(response, lambda response: show_effective(run, response))


@override.command("list")
def list_overrides(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Show a user's overrides.

    Example: dispatch override list ada
    """
    run = run_of(ctx)
    response = run.service.get("api", "v1", "users", user, "integrations")
    run.show(response, lambda response: show_overrides(run.screen, response))


@override.command("set")
def set_override(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    *,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Enable the integration, or opt out of it."),
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Delivery order; 1 is the highest.")] = None,
    retry_count: Annotated[
        int | None, typer.Option(help="Retries after the first attempt.")
    ] = None,
    retry_delay_seconds: Annotated[
        int | None, typer.Option(help="Seconds between two attempts.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="WEBHOOK: the receiver's URL.")] = None,
    method: Annotated[str | None, typer.Option(help="WEBHOOK: POST, PUT or PATCH.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="WEBHOOK: 'NAME: VALUE'. @FILE or @- reads headers from a file or standard "
            "input, one per line, so that no process list shows a secret. May be repeated.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--config",
            metavar="KEY=VALUE",
            help="A config key, such as email_address=ada@example.com. May be repeated.",
        ),
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Create or change a user's override; other fields stay as they are.

    Example: dispatch override set ada EMAIL --priority 1 --config format=text
    """
    run = run_of(ctx)
    values = (enabled, priority, retry_count, retry_delay_seconds)
    fields = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
    config = _config(url, method, header or [], settings or [])
    if not fields and not config:
        raise UsageFailure(
            "No option is given.", f"For example: {repeated(ctx, {'--enable': None})}"
        )
    response = _write(run, user, integration_type, fields, config)
    run.show(response, lambda override: show_override(run.screen, override))


@override.command("unset")
def unset_override(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD",
            help="priority, retry_count …, or a config key; without any, the override is deleted.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Restore the defaults of an override's fields, or delete the override.

    Example: dispatch override unset ada TEST priority fail_attempts
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user, "integrations", integration_type)
    if not fields:
        with _explained_if_missing(user, integration_type):
            run.service.delete(*path)
        if not run.as_json:
            name = integration_type.upper()
            run.screen.say(f"The override of {name} is deleted: {user} has its defaults.")
        return
    with _explained_if_missing(user, integration_type):
        stored = run.service.get(*path).get("config") or {}
    body: dict[str, Any] = {name: None for name in fields if name in FIELDS}
    keys = [name for name in fields if name not in FIELDS]
    if unset := [name for name in keys if name not in stored]:
        advice = f"To see what is set: dispatch override list {quote(user)}"
        raise RejectedFailure(f"{', '.join(unset)} is not set.", advice)
    if keys:
        rest = {name: value for name, value in stored.items() if name not in keys}
        body["config"] = rest or None
    response = run.service.put(*path, body=body)
    run.show(response, lambda override: show_override(run.screen, override))


@override.command("reset")
def reset_overrides(
    ctx: typer.Context,
    user: User,
    *,
    yes: Sure = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Delete all overrides of a user; the delivery history stays.

    Example: dispatch override reset ada --yes
    """
    run = run_of(ctx)
    run.confirm(f"Delete all overrides of {user}?", repeated(ctx, {"--yes": None}), sure=yes)
    response = run.service.post("api", "v1", "users", user, "integration-defaults", "reset")
    removed = ", ".join(response["removed"])
    text = f"Deleted: {removed}" if removed else f"{user} had no overrides."
    run.show(response, lambda _: run.screen.say(text))


@override.command("rotate-secret")
def rotate_secret(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Replace the signing secret of a user's webhook.

    Example: dispatch override rotate-secret ada
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user, "integrations", "WEBHOOK", "rotate-secret")

    def table(response: Mapping[str, Any]) -> None:
        show_secret(run.screen, response["signing_secret"])
        run.screen.say(
            f"The previous secret remains valid until {response['previous_valid_until']}."
        )

    with _explained_if_missing(user, "WEBHOOK"):
        response = run.service.post(*path)
    run.show(response, table)


@contextmanager
def _explained_if_missing(user: str, integration_type: str) -> Iterator[None]:
    """Name the command that creates a missing override; the service names the HTTP method."""
    try:
        yield
    except RejectedFailure as failure:
        if failure.status == 404 and " override" in str(failure):
            name = integration_type.upper()
            address = words.ADDRESSES[name] if name == "WEBHOOK" else "--enable"
            raise RejectedFailure(
                f"{user} has no override for {name}.",
                f"To create one: dispatch override set {quote(user)} {name} {address}",
                response=failure.response,
                status=failure.status,
            ) from failure
        raise


def _write(
    run: Run, user: str, integration_type: str, fields: dict[str, Any], config: dict[str, Any]
) -> Any:
    """Create the override, or change the existing one."""
    path = ("api", "v1", "users", user, "integrations")
    body = {
        "integration_type": integration_type,
        **fields,
        **({"config": config} if config else {}),
    }
    try:
        stored = run.service.get(*path, integration_type)
    except RejectedFailure as failure:
        if failure.status != 404:
            raise
        return run.service.post(*path, body=body)
    del body["integration_type"]
    if config:
        # PUT replaces the whole config; a *** that was read back keeps the stored value.
        body["config"] = {**(stored.get("config") or {}), **config}
        stored_headers = (stored.get("config") or {}).get("headers") or {}
        given = config.get("headers") or {}
        replaced = {name.lower() for name in given}
        preserved = {
            name: value for name, value in stored_headers.items() if name.lower() not in replaced
        }
        if stored_headers and given:
            body["config"]["headers"] = {**preserved, **given}
        try:
            return run.service.put(*path, integration_type, body=body)
        except RejectedFailure as failure:
            override = f"{quote(user)} {quote(integration_type)}"
            raise _explained_headers(run, failure, override, body["config"], preserved) from failure
    return run.service.put(*path, integration_type, body=body)


def _explained_headers(
    run: Run,
    failure: RejectedFailure,
    override: str,
    config: Mapping[str, Any],
    preserved: Collection[str],
) -> RejectedFailure:
    """Explain a rejected ``***`` of a stored header, which the user of this program never wrote."""
    pointers = {f"/config/headers/{name.replace('~', '~0')}": name for name in preserved}
    rejected = [
        pointers[error.pointer] for error in failure.field_errors if error.pointer in pointers
    ]
    if not rejected:
        return failure
    is_single = len(rejected) == 1
    headers = f"header {rejected[0]} is" if is_single else f"headers {', '.join(rejected)} are"
    options = " ".join(f"--header {quote(f'{name}: VALUE')}" for name in config["headers"])
    others = [error for error in failure.field_errors if error.pointer not in pointers]
    return RejectedFailure(
        f"The address belongs to another receiver, so the secret {headers} not sent there.",
        "To send the values there: "
        f"dispatch override set {override} --url {quote(str(config.get('url')))} {options}\n"
        f"To remove the stored ones first: dispatch override unset {override} headers",
        details=[in_words(run.command, error) for error in others],
        response=failure.response,
        status=failure.status,
    )


def _config(
    url: str | None, method: str | None, headers: list[str], settings: list[str]
) -> dict[str, Any]:
    options = {"url": url, "method": method, "headers": _headers(headers)}
    texts = named_values(settings, "--config")
    return {
        **{name: _value(text) for name, text in texts.items()},
        **{name: value for name, value in options.items() if value},
    }


def _value(text: str) -> Any:
    """Parse JSON (``5``, ``true``, ``"5"``); anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _headers(texts: list[str]) -> dict[str, str]:
    lines: list[str] = []
    for text in texts:
        if text == "@-":
            lines += sys.stdin.read().splitlines()
        elif text.startswith("@"):
            lines += _lines_of(Path(text[1:]))
        else:
            lines.append(text)
    headers = {}
    for number, line in enumerate(filter(None, lines), start=1):
        name, colon, value = line.partition(":")
        if not (name.strip() and colon):
            # Not quoted, because it may hold a secret.
            text = f"--header: header {number} has no name or no colon."
            raise UsageFailure(text, "Write 'NAME: VALUE'.")
        headers[name.strip()] = value.strip()
    return headers


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageFailure(f"--header: {file} cannot be read: {cause(error)}.") from error


def show_settings(screen: Screen, by_type: Mapping[str, Mapping[str, Any]]) -> None:
    """Show complete settings in delivery order."""
    names = ["PRIORITY", "INTEGRATION", "ATTEMPTS", "DELAY", "CONFIG"]
    rows = [
        [
            settings["priority"],
            name,
            1 + settings["retry_count"],
            span(settings["retry_delay_seconds"]) if settings["retry_count"] else "-",
            _on_one_line(settings["config"]),
        ]
        for name, settings in by_type.items()
    ]
    if not all(settings["enabled"] for settings in by_type.values()):
        names.insert(2, "ENABLED")
        for row, settings in zip(rows, by_type.values(), strict=True):
            row.insert(2, "yes" if settings["enabled"] else "no")
    screen.table(names, rows)


def show_effective(run: Run, response: Mapping[str, Any]) -> None:
    """Show the effective configuration, and why other integrations are not used."""
    screen, user = run.screen, response["user_id"]
    if response["effective_configs"]:
        show_settings(screen, response["effective_configs"])
    else:
        screen.say("No integration is enabled: messages are not delivered.")
    if response["disabled_integrations"]:
        screen.say()
        screen.say("Not used", "bold")
        screen.points(words.grouped(user, words.disabled(response, run.service.health())))
    overrides = ", ".join(response["user_overrides"])
    screen.say()
    screen.say(f"Overrides: {overrides}" if overrides else "The user has no overrides.")


def show_overrides(screen: Screen, response: Mapping[str, Any]) -> None:
    """Show every override of a user."""
    if not response["integrations"]:
        screen.say(f"{response['user_id']} has no overrides: the defaults apply.")
    for override in response["integrations"]:
        show_override(screen, override)


def show_override(screen: Screen, override: Mapping[str, Any]) -> None:
    """Show an override and, right after its creation, the signing secret."""
    screen.say(override["integration_type"], "bold")
    for name in FIELDS:
        if name in override:
            screen.say(f"{name} = {json.dumps(override[name])}", indent=2)
    for name, value in (override.get("config") or {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        screen.say(f"config {name} = {text}", indent=2)
    if "signing_secret" in override:
        show_secret(screen, override["signing_secret"])


def show_secret(screen: Screen, secret: str) -> None:
    """Show a signing secret, which the service returns only once."""
    screen.say()
    screen.say("Signing secret, shown only once; store it where the receiver can read it:")
    screen.say(secret, "bold", indent=2)


def _on_one_line(config: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in config.items()
    )
