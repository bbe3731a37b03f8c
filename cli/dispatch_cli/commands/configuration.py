"""What a message to a user would use: defaults, overrides, and both together."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import (
    Format,
    Output,
    Sure,
    Type,
    User,
    named_values,
    run_of,
)
from dispatch_cli.failures import RefusedFailure, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import Screen
from dispatch_cli.times import span

PANEL = "Configuration"
FIELDS = ("enabled", "priority", "retry_count", "retry_delay_seconds")

app = typer.Typer()
override = typer.Typer(no_args_is_help=True, help="Settings of one user's own.")
app.add_typer(override, name="override", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def defaults(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Show what everybody gets who has set nothing."""
    run = run_of(ctx)
    answer = run.service.get("api", "v1", "integration-defaults")
    run.show(answer, lambda shown: show_settings(run.screen, shown["default_integrations"]))


@app.command(rich_help_panel=PANEL)
def config(ctx: typer.Context, user: User, output: Output = Format.TABLE) -> None:
    """Show what a message to a user would use now, and why not the rest."""
    run = run_of(ctx)
    answer = run.service.get("api", "v1", "users", user, "integration-defaults")
    run.show(answer, lambda shown: show_effective(run, shown))


@override.command("list")
def list_overrides(ctx: typer.Context, user: User, output: Output = Format.TABLE) -> None:
    """Show what a user has set."""
    run = run_of(ctx)
    answer = run.service.get("api", "v1", "users", user, "integrations")
    run.show(answer, lambda shown: show_overrides(run.screen, shown))


@override.command("set")
def set_override(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    *,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Use it, or opt out of it.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="1 is the highest.")] = None,
    retry_count: Annotated[int | None, typer.Option(help="Retries after the first try.")] = None,
    retry_delay_seconds: Annotated[int | None, typer.Option(help="Between two tries.")] = None,
    url: Annotated[str | None, typer.Option(help="WEBHOOK: where to deliver.")] = None,
    method: Annotated[str | None, typer.Option(help="WEBHOOK: POST, PUT or PATCH.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="WEBHOOK: 'NAME: VALUE'; @FILE or @- reads them from a file or standard input, "
            "one a line, so that no list of processes shows a secret. May be repeated.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--config",
            metavar="KEY=VALUE",
            help="A setting of the integration, such as email_address=ada@example.com. "
            "May be repeated.",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Set one or more settings of a user; the others stay as they are."""
    run = run_of(ctx)
    numbers = (enabled, priority, retry_count, retry_delay_seconds)
    fields = {name: value for name, value in zip(FIELDS, numbers, strict=True) if value is not None}
    config = _config(url, method, header or [], settings or [])
    if not fields and not config:
        raise UsageFailure("There is nothing to set.", "Name a setting, for example --enable.")
    answer = _write(run, user, integration_type, fields, config)
    run.show(answer, lambda shown: show_override(run.screen, shown))


@override.command("unset")
def unset_override(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD",
            help="priority, retry_count …, or a key of config; none: all of them.",
            show_default=False,
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Give settings of a user back to the defaults."""
    run = run_of(ctx)
    place = ("api", "v1", "users", user, "integrations", integration_type)
    if not fields:
        with _need_of_override(user, integration_type):
            run.service.delete(*place)
        if not run.as_json:
            run.screen.say(f"{user} has the defaults of {integration_type.upper()} again.")
        return
    with _need_of_override(user, integration_type):
        stored = run.service.get(*place).get("config") or {}
    body: dict[str, Any] = {name: None for name in fields if name in FIELDS}
    keys = [name for name in fields if name not in FIELDS]
    if unknown := [name for name in keys if name not in stored]:
        advice = f"Set are: dispatch override list {user}"
        raise RefusedFailure(f"{', '.join(unknown)} is not set.", advice)
    if keys:
        rest = {name: value for name, value in stored.items() if name not in keys}
        body["config"] = rest or None
    answer = run.service.put(*place, body=body)
    run.show(answer, lambda shown: show_override(run.screen, shown))


@override.command("reset")
def reset_overrides(
    ctx: typer.Context,
    user: User,
    *,
    yes: Sure = False,
    output: Output = Format.TABLE,
) -> None:
    """Remove all settings of a user; the history stays."""
    run = run_of(ctx)
    run.confirm(f"Remove all settings of {user}?", sure=yes)
    answer = run.service.post("api", "v1", "users", user, "integration-defaults", "reset")
    removed = ", ".join(answer["removed"]) or "nothing, there was none"
    run.show(answer, lambda _: run.screen.say(f"{user} has the defaults. Removed: {removed}"))


@override.command("rotate-secret")
def rotate_secret(ctx: typer.Context, user: User, output: Output = Format.TABLE) -> None:
    """Replace the secret that a user's webhook messages are signed with."""
    run = run_of(ctx)
    place = ("api", "v1", "users", user, "integrations", "WEBHOOK", "rotate-secret")

    def table(answer: Mapping[str, Any]) -> None:
        show_secret(run.screen, answer["signing_secret"])
        run.screen.say(f"The one before is good until {answer['previous_valid_until']}.")

    with _need_of_override(user, "WEBHOOK"):
        answer = run.service.post(*place)
    run.show(answer, table)


@contextmanager
def _need_of_override(user: str, integration_type: str) -> Iterator[None]:
    """Say which command makes an override where the service says which verb does."""
    try:
        yield
    except RefusedFailure as failure:
        if failure.status == 404 and "create one with POST" in str(failure):
            name = integration_type.upper()
            address = words.ADDRESSES.get(name, "--enable")
            raise RefusedFailure(
                f"{user} has set nothing for {name}.",
                f"To set something: dispatch override set {user} {name} {address}",
                answer=failure.answer,
                status=failure.status,
            ) from failure
        raise


def _write(
    run: Run, user: str, integration_type: str, fields: dict[str, Any], config: dict[str, Any]
) -> Any:
    """Create the override, or change the one that is there."""
    place = ("api", "v1", "users", user, "integrations")
    body = {
        "integration_type": integration_type,
        **fields,
        **({"config": config} if config else {}),
    }
    try:
        stored = run.service.get(*place, integration_type)
    except RefusedFailure as failure:
        if failure.status != 404:
            raise
        return run.service.post(*place, body=body)
    del body["integration_type"]
    if config:
        # A PUT replaces the whole config. What is read back as *** stays what it is.
        body["config"] = {**(stored.get("config") or {}), **config}
        before = (stored.get("config") or {}).get("headers") or {}
        given = config.get("headers") or {}
        written = {name.lower() for name in given}
        kept = {name: value for name, value in before.items() if name.lower() not in written}
        if before and given:
            body["config"]["headers"] = {**kept, **given}
        try:
            return run.service.put(*place, integration_type, body=body)
        except RefusedFailure as failure:
            _explain_headers(failure, f"{user} {integration_type}", tuple(kept))
            raise
    return run.service.put(*place, integration_type, body=body)


def _explain_headers(failure: RefusedFailure, whose: str, kept: Sequence[str]) -> None:
    """Say what keeps stored headers from an address: the person never wrote their ``***``."""
    pointers = {name: f"/config/headers/{name.replace('~', '~0')}: " for name in kept}
    lost = [
        name
        for name, pointer in pointers.items()
        if any(detail.startswith(pointer) for detail in failure.details)
    ]
    if not lost:
        return
    headers = f"header {lost[0]} is" if len(lost) == 1 else f"headers {', '.join(lost)} are"
    again = " ".join(f"--header '{name}: …'" for name in lost)
    failure.details = [
        f"The address is another receiver's, so the secret {headers} not sent there by itself.",
        *(one for one in failure.details if not one.startswith(tuple(pointers.values()))),
    ]
    failure.advice = (
        f"Give it again: {again}\nOr drop it first: dispatch override unset {whose} headers"
    )


def _config(
    url: str | None, method: str | None, headers: list[str], settings: list[str]
) -> dict[str, Any]:
    known = {"url": url, "method": method, "headers": _headers(headers)}
    texts = named_values(settings, "--config")
    return {
        **{name: _value(text) for name, text in texts.items()},
        **{name: value for name, value in known.items() if value},
    }


def _value(text: str) -> Any:
    """Read what is JSON as JSON (``5``, ``true``, ``"5"``), anything else as text."""
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
            # Not quoted: it may hold a secret.
            raise UsageFailure(f"Header {number} cannot be read.", "Write 'NAME: VALUE'.")
        headers[name.strip()] = value.strip()
    return headers


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageFailure(f"{file} cannot be read: {error}") from error


def show_settings(screen: Screen, by_type: Mapping[str, Mapping[str, Any]]) -> None:
    """Show complete settings in delivery order."""
    names = ["PRIORITY", "INTEGRATION", "TRIES", "RETRY AFTER", "CONFIG"]
    rows = [
        [
            one["priority"],
            name,
            1 + one["retry_count"],
            span(one["retry_delay_seconds"]) if one["retry_count"] else "-",
            told(one["config"]),
        ]
        for name, one in by_type.items()
    ]
    if not all(one["enabled"] for one in by_type.values()):
        names.insert(2, "ENABLED")
        for row, one in zip(rows, by_type.values(), strict=True):
            row.insert(2, "yes" if one["enabled"] else "no")
    screen.table(names, rows)


def show_effective(run: Run, answer: Mapping[str, Any]) -> None:
    """Show what is used, and why the rest is not."""
    screen, user = run.screen, answer["user_id"]
    if answer["effective_configs"]:
        show_settings(screen, answer["effective_configs"])
    else:
        screen.say("Nothing is enabled: a message goes nowhere.")
    if answer["disabled_integrations"]:
        screen.say()
        screen.say("Not used", "bold")
        unused = words.unused(answer, run.service.health())
        screen.points(words.together(user, unused))
    own = ", ".join(answer["user_overrides"])
    screen.say()
    screen.say(f"Settings of the user's own: {own}" if own else "The user has set nothing.")


def show_overrides(screen: Screen, answer: Mapping[str, Any]) -> None:
    """Show every override of a user."""
    if not answer["integrations"]:
        screen.say(f"{answer['user_id']} has set nothing: the defaults hold.")
    for one in answer["integrations"]:
        show_override(screen, one)


def show_override(screen: Screen, one: Mapping[str, Any]) -> None:
    """Show what is set, and a new signing secret."""
    screen.say(one["integration_type"], "bold")
    for name in FIELDS:
        if name in one:
            screen.say(f"{name} = {json.dumps(one[name])}", indent=2)
    for name, value in (one.get("config") or {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        screen.say(f"config {name} = {text}", indent=2)
    if "signing_secret" in one:
        show_secret(screen, one["signing_secret"])


def show_secret(screen: Screen, secret: str) -> None:
    """Show what is shown once."""
    screen.say()
    screen.say("Signing secret, shown only this once; keep it where the receiver can read it:")
    screen.say(secret, "bold", indent=2)


def told(config: Mapping[str, Any]) -> str:
    """Write a config on one line."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in config.items()
    )
