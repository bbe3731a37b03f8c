"""Users' preferences, and the categories of messages."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from shlex import quote
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import (
    TYPES,
    App,
    Format,
    Json,
    Output,
    Sure,
    User,
    named_values,
    repeated,
    run_of,
)
from dispatch_cli.failures import UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import Screen
from dispatch_cli.times import age, moment

PANEL = "Preferences"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPANS = {"m": "minutes", "h": "hours", "d": "days"}
SWITCHES = {"on": True, "off": False}

app = App()
preferences = App(no_args_is_help=True, help="Manage a user's hours, mute and choices.")
categories = App(no_args_is_help=True, help="Manage the categories of messages.")
app.add_typer(preferences, name="preferences", rich_help_panel=PANEL)
app.add_typer(categories, name="categories", rich_help_panel=PANEL)

Category = Annotated[
    str, typer.Argument(metavar="CATEGORY", help="The category's name.", show_default=False)
]


def path_of(user: str) -> tuple[str, ...]:
    """Return the path of a user's preferences."""
    return "api", "v1", "users", user, "preferences"


# Preferences --------------------------------------------------------------------------------------


@preferences.command("show")
def show_preferences(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Show a user's preferences, and what results from them now.

    Example: dispatch preferences show ada
    """
    run = run_of(ctx)
    run.show(run.service.get(*path_of(user)), lambda response: show(run, response))


@preferences.command("set")
def set_preferences(
    ctx: typer.Context,
    user: User,
    *,
    hours: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WINDOW",
            help="When the user may be disturbed, such as 'mon-fri 08:00-18:00', or always. "
            "May be repeated; replaces all windows.",
        ),
    ] = None,
    hold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help="An integration that waits for the hours and for the end of a mute. "
            "May be repeated; replaces all of them.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="The time zone of the hours, such as Europe/Berlin.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="The user's language, such as de.")] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SWITCH",
            help="A choice such as news=off or builds.SLACK=on; values of SWITCH: on, off, "
            "default. May be repeated.",
        ),
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Change some of a user's preferences; the others stay as they are.

    Example: dispatch preferences set ada --hours 'mon-fri 08:00-18:00' --category news=off
    """
    run = run_of(ctx)
    given = {"time_zone": time_zone, "language": language}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    choices = named_values(category or [], "--category")
    if_match = None
    if hours or hold or choices:
        stored = run.service.get(*path_of(user))
        # These values are written again below, unless another change comes between.
        if_match = f'"{stored["version"]}"'
        if hours or hold:
            body["hours"] = _hours(stored["hours"] or {}, hours or [], hold or [])
        if choices:
            body["categories"] = _choices(stored["categories"] or {}, choices)
    if not body:
        example = repeated(ctx, {"--hours": "mon-fri 08:00-18:00"})
        raise UsageFailure("No option is given.", f"For example: {example}")
    _change(run, user, body, if_match=if_match)


@preferences.command("mute")
def mute(
    ctx: typer.Context,
    user: User,
    *,
    span: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="A duration such as 30m, 2h or 3d.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="A time such as 2026-12-24T18:00:00Z, or tomorrow: the next midnight.",
        ),
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Hold messages to a user until a time; urgent ones are still delivered.

    Example: dispatch preferences mute ada --for 2h
    """
    run = run_of(ctx)
    if (span is None) == (until is None):
        example = f"dispatch preferences mute {quote(user)} --for 2h"
        raise UsageFailure("Give one of --for and --until.", f"For example: {example}")
    _change(run, user, {"muted_until": _end_of(run, span) if span else _time(run, str(until))})


@preferences.command("unmute")
def unmute(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """End a mute; held messages are delivered now, or when the hours allow it.

    Example: dispatch preferences unmute ada
    """
    _change(run_of(ctx), user, {"muted_until": None})


@preferences.command("reset")
def reset_preferences(
    ctx: typer.Context,
    user: User,
    *,
    yes: Sure = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Delete all preferences of a user; the overrides stay.

    Example: dispatch preferences reset ada --yes
    """
    run = run_of(ctx)
    run.confirm(f"Delete all preferences of {user}?", repeated(ctx, {"--yes": None}), sure=yes)
    response = run.service.delete(*path_of(user))
    run.show(response, lambda _: run.screen.say(f"The preferences of {user} are deleted."))


def _change(run: Run, user: str, body: Mapping[str, Any], *, if_match: str | None = None) -> None:
    response = run.service.put(*path_of(user), body=body, if_match=if_match)

    def table(response: Mapping[str, Any]) -> None:
        show(run, response)
        moved = response["rescheduled"]
        if moved["deliveries"]:
            run.screen.say()
            run.screen.say(f"Held deliveries with a new time: {moved['deliveries']}")
        if not moved["complete"]:
            run.screen.note("Not all held deliveries were checked; the others keep their times.")

    run.show(response, table)


def _hours(stored: Mapping[str, Any], windows: list[str], hold: list[str]) -> dict[str, Any] | None:
    hours = dict(stored)
    if windows == ["always"]:
        hours.pop("windows", None)
    elif windows:
        hours["windows"] = [_window(text) for text in windows]
    if hold:
        hours["integrations"] = hold
    return hours or None


def _window(text: str) -> dict[str, Any]:
    """Parse ``mon-fri 08:00-18:00``, ``sat,sun 10:00-16:00`` or ``daily 07:00-22:00``."""
    days, _, times = text.strip().lower().partition(" ")
    start, hyphen, end = times.strip().partition("-")
    named: list[str] = []
    for part in (",".join(DAYS) if days == "daily" else days).split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS or not hyphen:
            raise UsageFailure(
                f"--hours: {text!r} is not a window.",
                "Write days and times, such as 'mon-fri 08:00-18:00', 'sat,sun 10:00-16:00' or "
                "'daily 22:00-06:00'.",
            )
        begin = DAYS.index(first)
        count = (DAYS.index(last or first) - begin) % len(DAYS) + 1
        named += [DAYS[(begin + ahead) % len(DAYS)] for ahead in range(count)]
    return {"days": named, "from": start.strip(), "to": end.strip()}


def _choices(stored: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the choices of the named categories, with what was chosen for them before."""
    choices: dict[str, Any] = {}
    for text, switch in given.items():
        if switch not in {*SWITCHES, "default"}:
            raise UsageFailure(
                f"--category: {switch!r} is not a switch.", f"Write --category {text}=off."
            )
        name, _, integration_type = text.partition(".")
        old = choices.get(name) or stored.get(name) or {}
        new = {**old, "integrations": dict(old.get("integrations", {}))}
        part, key = (
            (new["integrations"], integration_type.upper())
            if integration_type
            else (new, "enabled")
        )
        part.pop(key, None)
        if switch in SWITCHES:
            part[key] = SWITCHES[switch]
        if not new["integrations"]:
            del new["integrations"]
        # Null removes the choice.
        choices[name] = new or None
    return choices


def _end_of(run: Run, span: str) -> str:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", span)
    if match is None:
        raise UsageFailure(f"--for: {span!r} is not a duration.", "Write 30m, 2h or 3d.")
    return _rfc3339(run.now() + timedelta(**{SPANS[match[2]]: int(match[1])}))


def _time(run: Run, text: str) -> str:
    if text != "tomorrow":
        return text
    day = run.now().astimezone(run.zone).date() + timedelta(days=1)
    midnight = datetime(day.year, day.month, day.day, tzinfo=run.zone)
    return _rfc3339(midnight.astimezone(run.zone))


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def show(run: Run, response: Mapping[str, Any]) -> None:
    """Show preferences, and what results from them."""
    screen, effective = run.screen, response["effective"]
    screen.say(f"Preferences of {response['user_id']}", "bold")
    zone = effective["time_zone"]
    origin = "" if zone["source"] == "user" else " (default)"
    screen.field("time zone", f"{zone['value']}{origin}")
    if response["language"]:
        screen.field("language", response["language"])
    hours = response["hours"] or {}
    for window in hours.get("windows", []):
        screen.field("hours", f"{', '.join(window['days'])} {window['from']}-{window['to']}")
    if "integrations" in hours:
        screen.field("hold", ", ".join(hours["integrations"]))
    if response["muted_until"]:
        screen.field("muted until", when(run, response["muted_until"]))
    if effective["open_now"]:
        screen.field("now", "may be disturbed")
    else:
        screen.field("now", f"held until {when(run, effective['next_open_at'])}")
    screen.say()
    rows = [_row("(none)", effective["without_category"]["integrations"], ())]
    rows += [
        _row(one["category"], one["integrations"], _marks(one)) for one in effective["categories"]
    ]
    screen.table(("CATEGORY", "DELIVERED OVER", "NOTE"), rows)
    for one in effective["categories"]:
        for setting in one["ignored"]:
            screen.say(f"{one['category']} is locked: {setting} has no effect.")


def _row(
    name: str, integrations: Mapping[str, Mapping[str, Any]], marks: Sequence[str]
) -> tuple[str, str, str]:
    used = ", ".join(type_ for type_, one in integrations.items() if one["enabled"])
    return name, used or "-", ", ".join(marks) or "-"


def _marks(category: Mapping[str, Any]) -> list[str]:
    marks = [name for name in ("locked", "urgent") if category[name]]
    return marks if category["enabled"] else [*marks, "off"]


def when(run: Run, time: str) -> str:
    """Return a time and its distance from now."""
    return f"{moment(time, run.zone)} ({age(time, run.now())})"


# Preview ------------------------------------------------------------------------------------------


@app.command(rich_help_panel=PANEL)
def preview(
    ctx: typer.Context,
    user: User,
    *,
    category: Annotated[str | None, typer.Option(help="The category of the message.")] = None,
    integration_types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only over this integration. May be repeated.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    deliver_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Earliest delivery, such as 2026-12-24T18:00:00Z."),
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Latest delivery.")] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show how a message would be delivered; nothing is sent.

    Example: dispatch preview ada --category builds
    """
    run = run_of(ctx)
    given = {
        "category": category,
        "integration_types": integration_types,
        "deliver_at": deliver_at,
        "expires_at": expires_at,
    }
    body = {name: value for name, value in given.items() if value}
    response = run.service.post("api", "v1", "users", user, "preview", body=body)
    run.show(response, lambda response: show_preview(run, response))


def show_preview(run: Run, response: Mapping[str, Any]) -> None:
    """Show the deliveries that a message would have."""
    rows = [
        (
            delivery["integration_type"],
            when(run, delivery["held"]["until"]) if delivery["held"] else "now",
            words.held(delivery) or "-",
        )
        for delivery in response["deliveries"]
    ]
    if rows:
        run.screen.table(("TYPE", "DELIVERED", "DETAIL"), rows)
    else:
        run.screen.say("No deliveries: every integration would be skipped.", "bold")
    if response["skipped"]:
        run.screen.say()
        run.screen.say("Skipped", "bold")
        named = {
            skip["integration_type"]: words.reason(skip["reason"]) for skip in response["skipped"]
        }
        run.screen.points(words.grouped(response["user_id"], named))


# Categories ---------------------------------------------------------------------------------------

CATEGORIES = ("api", "v1", "categories")


@categories.command("list")
def list_categories(
    ctx: typer.Context, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """Show all categories.

    Example: dispatch categories list
    """
    run = run_of(ctx)

    def table(response: Mapping[str, Any]) -> None:
        if response["categories"]:
            show_categories(run.screen, response["categories"])
        else:
            run.screen.advise(
                "No categories.\nTo define one: dispatch categories set news --title News"
            )

    run.show(run.service.get(*CATEGORIES), table)


@categories.command("set")
def set_category(
    ctx: typer.Context,
    category: Category,
    *,
    title: Annotated[str | None, typer.Option(help="The title that users see.")] = None,
    description: Annotated[str | None, typer.Option(help="The description that users see.")] = None,
    group: Annotated[str | None, typer.Option(help="The heading above the category.")] = None,
    order: Annotated[int | None, typer.Option(help="The place in the list, 0 to 999.")] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Whether to deliver to users without a choice."),
    ] = None,
    integrations: Annotated[
        list[str] | None,
        typer.Option(
            "--integration",
            metavar="TYPE=SWITCH",
            help="Use an integration for users without a choice: on, off or default. "
            "May be repeated.",
        ),
    ] = None,
    locked: Annotated[
        bool | None, typer.Option("--locked/--unlocked", help="Users cannot disable it.")
    ] = None,
    reach_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help="With --locked: SLACK, EMAIL or SMS, used if no other reaches the user. "
            "May be repeated, in order.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    urgent: Annotated[
        bool | None,
        typer.Option("--urgent/--not-urgent", help="Hours and mutes do not apply."),
    ] = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Create a category, or change some of its fields.

    Example: dispatch categories set security --title Security --locked --reach-by EMAIL --urgent
    """
    run = run_of(ctx)
    stored = run.service.get(*CATEGORIES)["categories"]
    body = next((dict(one) for one in stored if one["category"] == category), {})
    given = {
        "title": title,
        "description": description,
        "group": group,
        "order": order,
        "enabled": enabled,
        "locked": locked,
        "reach_by": reach_by or None,
        "urgent": urgent,
    }
    body |= {name: value for name, value in given.items() if value is not None}
    if locked is False and not reach_by:
        body.pop("reach_by", None)
    cells = dict(body.get("integrations", {}))
    for name, switch in named_values(integrations or [], "--integration").items():
        cells.pop(name.upper(), None)
        if switch not in {*SWITCHES, "default"}:
            raise UsageFailure(
                f"--integration: {switch!r} is not a switch.", f"Write --integration {name}=on."
            )
        if switch in SWITCHES:
            cells[name.upper()] = SWITCHES[switch]
    if cells or "integrations" in body:
        body["integrations"] = cells
    response = run.service.put(*CATEGORIES, category, body=body)
    run.show(response, lambda response: show_categories(run.screen, [response]))


@categories.command("delete")
def delete_category(
    ctx: typer.Context,
    category: Category,
    *,
    yes: Sure = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Delete a category; users' choices for it have no effect any more.

    Example: dispatch categories delete news --yes
    """
    run = run_of(ctx)
    command = repeated(ctx, {"--yes": None})
    run.confirm(f"Delete the category {category}?", command, sure=yes)
    response = run.service.delete(*CATEGORIES, category)
    run.show(response, lambda _: run.screen.say(f"The category {quote(category)} is deleted."))


def show_categories(screen: Screen, listed: Sequence[Mapping[str, Any]]) -> None:
    """Show categories."""
    rows = []
    for one in listed:
        cells = [
            f"{name} {'on' if is_on else 'off'}" for name, is_on in one["integrations"].items()
        ]
        reach = [f"reached by {', '.join(one['reach_by'])}"] if one["reach_by"] else []
        rows.append(
            (one["category"], one["title"], "; ".join([*_marks(one), *cells, *reach]) or "-")
        )
    screen.table(("CATEGORY", "TITLE", "NOTE"), rows)
