"""What became of messages: the history, and what can be done about one delivery."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import TYPES, Delivery, Format, Output, User, run_of
from dispatch_cli.run import Run
from dispatch_cli.screen import Listing
from dispatch_cli.times import age, clock, moment, read

PANEL = "Deliveries"
ENDED = ("success", "failed", "skipped")
PAGE = 200
"""Deliveries that a follower looks at."""

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def history(
    ctx: typer.Context,
    user: User,
    delivery_id: Annotated[
        str | None,
        typer.Argument(metavar="DELIVERY", help="Show this one, with every attempt."),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(help="Deliveries to show, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    status: Annotated[str | None, typer.Option(help="pending, success, failed or skipped.")] = None,
    integration_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only this integration.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Only this request.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what changes, until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show what became of the messages to a user."""
    run = run_of(ctx)
    place = ("api", "v1", "users", user, "deliveries")
    if delivery_id is not None:
        run.show(run.service.get(*place, delivery_id), lambda one: show_delivery(run, one))
        return
    filters = {"status": status, "integration_type": integration_type, "request_id": request_id}
    if not follow:
        answer = run.service.get(*place, limit=limit, cursor=cursor, **filters)
        run.show(answer, lambda shown: show_history(run, shown))
        return
    follow_history(run, place, limit, filters)


def follow_history(
    run: Run, place: tuple[str, ...], limit: int, filters: Mapping[str, str | None]
) -> None:
    """Show the newest deliveries, and then whatever changes."""
    known: dict[str, tuple[Any, ...]] = {}
    listing = Listing(run.screen, {"TIME": 8, "TYPE": 7, "STATUS": 7, "TRIES": 5, "DELIVERY": 36})
    if not run.as_json:
        listing.head()
    at_most = limit

    def look() -> bool:
        nonlocal at_most
        page = run.service.get(*place, limit=PAGE, **filters)["deliveries"]
        changed = [one for one in page if _state(one) != known.get(one["delivery_id"])]
        known.update((one["delivery_id"], _state(one)) for one in page)
        for one in reversed(changed[:at_most]):
            if run.as_json:
                run.screen.json(one, line=True)
            else:
                when = clock(one["last_attempt_at"] or one["created_at"], run.zone)
                show_delivery_row(run, listing, one, when)
        at_most = PAGE
        return bool(changed)

    run.follow(look)


@app.command(rich_help_panel=PANEL)
def retry(
    ctx: typer.Context, user: User, delivery_id: Delivery, output: Output = Format.TABLE
) -> None:
    """Start a failed delivery over, with all its tries."""
    run = run_of(ctx)
    answer = run.service.post("api", "v1", "users", user, "deliveries", delivery_id, "retry")
    told = f"Round {answer['round']} begins.\nTo watch it: dispatch history {user} --follow"
    run.show(answer, lambda _: run.screen.advise(told))


@app.command(rich_help_panel=PANEL)
def cancel(
    ctx: typer.Context, user: User, delivery_id: Delivery, output: Output = Format.TABLE
) -> None:
    """Call off a delivery that is pending; what is being sent is sent."""
    run = run_of(ctx)
    answer = run.service.delete("api", "v1", "users", user, "deliveries", delivery_id)
    run.show(answer, lambda _: run.screen.say(f"{delivery_id} is cancelled."))


def table_of_deliveries(run: Run) -> Listing:
    """Return the columns of a history, which 80 characters hold."""
    return Listing(run.screen, {"WHEN": 10, "TYPE": 7, "STATUS": 7, "TRIES": 5, "DELIVERY": 36})


def show_history(run: Run, answer: Mapping[str, Any]) -> None:
    """Show a page, newest first."""
    user = answer["user_id"]
    if not answer["deliveries"]:
        run.screen.advise(f"There is nothing. Why: dispatch doctor {user}")
        return
    listing = table_of_deliveries(run)
    listing.head()
    for one in answer["deliveries"]:
        show_delivery_row(run, listing, one)
    if answer["next_cursor"]:
        run.screen.note(f"There are more: --cursor {answer['next_cursor']}")


def show_delivery_row(
    run: Run, listing: Listing, one: Mapping[str, Any], when: str | None = None
) -> None:
    """Show a delivery, and under it what went wrong."""
    tries = f"{one['attempts']}/{one['max_attempts']}"
    when = when or age(one["last_attempt_at"] or one["created_at"], run.now())
    cells = (when, one["integration_type"], one["status"], tries, one["delivery_id"])
    listing.row(cells, trouble(run, one))


def trouble(run: Run, one: Mapping[str, Any]) -> str:
    """Put what went wrong with a delivery in words, and when it is tried again."""
    parts = []
    if one["error_code"]:
        parts.append(f"{one['error_code']}: {words.code(one['error_code']).meaning}")
    if one["next_attempt_at"] and read(one["next_attempt_at"]) > run.now():
        parts.append(f"next try {age(one['next_attempt_at'], run.now())}")
    return "; ".join(parts)


def show_delivery(run: Run, one: Mapping[str, Any]) -> None:
    """Show all about a delivery."""
    screen = run.screen
    screen.say(f"{one['integration_type']} to {one['user_id']}: {one['status']}", "bold")
    times = ("created_at", "first_attempt_at", "last_attempt_at", "delivered_at", "next_attempt_at")
    for name in ("delivery_id", "request_id", "session_id", "priority", "round"):
        if one[name] is not None:
            screen.say(f"{name.replace('_', ' '):<16} {one[name]}", indent=2)
    for name in times:
        if one[name] is not None:
            told = f"{moment(one[name], run.zone)} ({age(one[name], run.now())})"
            screen.say(f"{name.replace('_', ' '):<16} {told}", indent=2)
    screen.say(f"{'tries':<16} {one['attempts']} of {one['max_attempts']}", indent=2)
    for name, value in one["metadata"].items():
        screen.say(f"{name.replace('_', ' '):<16} {value}", indent=2)
    if one["error_code"]:
        cause = words.code(one["error_code"]).about(one["user_id"], one["integration_type"])
        screen.say()
        screen.say(f"{one['error_code']}: {one['error_message'] or cause.meaning}", "red")
        screen.say(cause.meaning)
        screen.advise(cause.advice)
    if one["attempt_log"]:
        screen.say()
        names = ("ROUND", "TRY", "STARTED", "TOOK", "OUTCOME", "CODE")
        rows = [
            (
                entry["round"],
                entry["number"],
                clock(entry["started_at"], run.zone),
                "-" if entry["duration_ms"] is None else f"{entry['duration_ms']:>6} ms",
                entry["outcome"],
                entry["code"] or "-",
            )
            for entry in one["attempt_log"]
        ]
        screen.table(names, rows)
    if one["status"] == "failed":
        screen.note(f"To start it over: dispatch retry {one['user_id']} {one['delivery_id']}")


def _state(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return one["status"], one["round"], one["attempts"]
