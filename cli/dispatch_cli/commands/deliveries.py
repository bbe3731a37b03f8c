"""Delivery history, requests, retry and cancellation."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from shlex import quote
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import (
    TYPES,
    App,
    Delivery,
    Format,
    Json,
    Output,
    User,
    repeated,
    run_of,
)
from dispatch_cli.commands.preferences import SPANS
from dispatch_cli.failures import RejectedFailure, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import Screen, Table
from dispatch_cli.times import age, clock, moment, parse

PANEL = "Deliveries"
ENDED = ("success", "failed", "skipped")
PAGE = 200
"""Deliveries that a follower reads at a time."""

app = App()


@app.command(rich_help_panel=PANEL)
def history(
    ctx: typer.Context,
    user: User,
    delivery_id: Annotated[
        str | None,
        typer.Argument(metavar="DELIVERY_ID", help="Show only this delivery, with its attempts."),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(help="Maximum number of deliveries, newest first.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Continue after the page with this cursor.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only pending, success, failed or skipped deliveries.")
    ] = None,
    integration_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only deliveries of this integration.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Only deliveries of this request.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with changes, until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show the deliveries to a user.

    Example: dispatch history ada --status failed
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user, "deliveries")
    if delivery_id is not None:
        delivery = run.service.get(*path, delivery_id)
        run.show(delivery, lambda delivery: show_delivery(run, delivery))
        return
    filters = {"status": status, "integration_type": integration_type, "request_id": request_id}
    if not follow:
        response = run.service.get(*path, limit=limit, cursor=cursor, **filters)
        run.show(response, lambda response: show_history(run, response))
        if response["next_cursor"] and not run.as_json:
            command = repeated(ctx, {"--cursor": response["next_cursor"]})
            run.screen.note(f"To see older deliveries: {command}")
        return
    follow_history(run, path, limit, filters)


def follow_history(
    run: Run, path: tuple[str, ...], limit: int, filters: Mapping[str, str | None]
) -> None:
    """Show the newest deliveries, then every change."""
    known: dict[str, tuple[Any, ...]] = {}
    table = DeliveryTable(run, run.screen, subject=True, time_of_day=True)
    if not run.as_json:
        table.head()
    at_most = limit

    def poll() -> bool:
        nonlocal at_most
        page = run.service.get(*path, limit=PAGE, **filters)["deliveries"]
        changed = [each for each in page if _state(each) != known.get(each["delivery_id"])]
        known.update((each["delivery_id"], _state(each)) for each in page)
        for delivery in reversed(changed[:at_most]):
            if run.as_json:
                run.screen.json(delivery, line=True)
            else:
                table.row(delivery)
        at_most = PAGE
        return bool(changed)

    run.follow(poll)


@app.command(rich_help_panel=PANEL)
def request(
    ctx: typer.Context,
    user: User,
    request_id: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST_ID",
            help="The request's ID, which dispatch send prints.",
            show_default=False,
        ),
    ],
    *,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show a request, its deliveries, and why other integrations were skipped.

    Example: dispatch request ada order-42
    """
    run = run_of(ctx)
    response = request_of(run, user, request_id)

    def table(request: Mapping[str, Any]) -> None:
        show_request(run, run.screen, request, run.service.health())
        if any(delivery["status"] == "failed" for delivery in request["deliveries"]):
            command = words.doctor_command(user, request_id)
            run.screen.note(f"To find out why a delivery failed: {command}")

    run.show(response, table)


def request_of(run: Run, user: str, request_id: str) -> Any:
    """Return a request; an unknown one is explained."""
    try:
        return run.service.get("api", "v1", "users", user, "requests", request_id)
    except RejectedFailure as failure:
        if failure.status == 404 and not failure.advice:
            failure.advice = (
                "The ID is misspelled, belongs to another user, or is no longer stored.\n"
                f"To see the IDs of recent requests: dispatch history {quote(user)} --json"
            )
        raise


@app.command(rich_help_panel=PANEL)
def retry(
    ctx: typer.Context,
    user: User,
    delivery_id: Delivery,
    *,
    now: Annotated[bool, typer.Option("--now", help="Ignore the user's hours and mutes.")] = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Start a new round of attempts for a failed delivery.

    Example: dispatch retry ada 0192b1c2-6f00-7000-8000-5a1e0c2f4d01
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user, "deliveries", delivery_id, "retry")
    response = run.service.post(*path, now="true" if now else None)
    command = f"dispatch history {quote(user)} --follow"
    text = f"Round {response['round']} starts.\nTo follow it: {command}"
    run.show(response, lambda _: run.screen.advise(text))


@app.command(rich_help_panel=PANEL)
def recover(
    ctx: typer.Context,
    user: User,
    *,
    since: Annotated[
        str,
        typer.Option(
            help="Begin with messages of this age, such as 2h, or with a time (RFC 3339)."
        ),
    ],
    until: Annotated[
        str | None, typer.Option(help="End with messages of this age or time. Default: now.")
    ] = None,
    integration_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only deliveries of this integration. May be repeated.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", help="Only deliveries that failed with this code. May be repeated."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be opened.")
    ] = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Start a new round of each delivery that failed in a time.

    Example: dispatch recover ada --since 2h --type WEBHOOK
    """
    run = run_of(ctx)
    path = ("api", "v1", "users", user, "deliveries", "recover")
    body = {
        "since": _time_of(run, "--since", since),
        "until": until and _time_of(run, "--until", until),
        "integration_types": integration_type,
        "error_codes": code,
        "dry_run": dry_run,
    }
    whole: dict[str, Any] = {"examined": 0, "opened": [], "not_opened": []}
    cursor: str | None = None
    while True:
        page = run.service.post(*path, body={**body, "cursor": cursor})
        for name in whole:
            whole[name] += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    run.show(whole, lambda whole: show_recovered(run.screen, user, whole, dry_run=dry_run))


def show_recovered(
    screen: Screen, user: str, recovered: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Show how many rounds begin, and which deliveries stay failed."""
    count = len(recovered["opened"])
    verb = "would start" if dry_run else "starts" if count == 1 else "start"
    rounds = "1 new round" if count == 1 else f"{count} new rounds"
    screen.say(f"{rounds} {verb}; messages examined: {recovered['examined']}.")
    for one in recovered["not_opened"]:
        meaning = words.not_opened(one["reason"])
        screen.say(f"{one['delivery_id']} stays failed: {meaning}.")
    if count and not dry_run:
        screen.advise(f"To follow them: dispatch history {quote(user)} --follow")


def _time_of(run: Run, option: str, text: str) -> str:
    """Return a time that an option gives as an age, or as a time that the service checks."""
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if match:
        time = run.now() - timedelta(**{SPANS[match[2]]: int(match[1])})
        return time.isoformat(timespec="milliseconds")
    try:
        has_offset = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_offset = False
    if not has_offset:
        example = "Write an age such as 30m, 2h or 3d, or a time such as 2026-11-27T08:00:00Z."
        raise UsageFailure(f"{option}: {text!r} is neither an age nor a time.", example)
    return text


@app.command(rich_help_panel=PANEL)
def cancel(
    ctx: typer.Context,
    user: User,
    delivery_id: Delivery,
    *,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Cancel a pending delivery, unless an attempt is in progress.

    Example: dispatch cancel ada 0192b1c2-6f00-7000-8000-5a1e0c2f4d01
    """
    run = run_of(ctx)
    response = run.service.delete("api", "v1", "users", user, "deliveries", delivery_id)
    run.show(response, lambda _: run.screen.say(f"{delivery_id} is cancelled."))


class DeliveryTable:
    """Deliveries in columns; ``subject`` is omitted if all of them belong to one request."""

    def __init__(
        self, run: Run, screen: Screen, *, subject: bool, time_of_day: bool = False
    ) -> None:
        self._run = run
        self._has_subject = subject
        self._has_time_of_day = time_of_day
        when = {"TIME": 8} if time_of_day else {"WHEN": 10}
        # A complete ID fits into 80 columns, and so does the beginning of a subject.
        columns = {**when, "TYPE": 7, "STATUS": 7, "DELIVERY": 36}
        last = {"SUBJECT": None} if subject else {}
        self._table = Table(screen, {**columns, **last}, detail="DETAIL")

    def head(self) -> None:
        """Show the column names."""
        self._table.head()

    def row(self, delivery: Mapping[str, Any]) -> None:
        """Show a delivery and, below it, its problem."""
        time = delivery["last_attempt_at"] or delivery["created_at"]
        when = clock(time, self._run.zone) if self._has_time_of_day else age(time, self._run.now())
        subject = (delivery["subject"] or "-",) if self._has_subject else ()
        self._table.row((when, *_cells(delivery), *subject), problem(self._run, delivery))

    def accepted_row(self, delivery: Mapping[str, Any]) -> None:
        """Show a delivery of a request that was accepted now."""
        self._table.row(("now", *_cells(delivery)))


def _cells(delivery: Mapping[str, Any]) -> tuple[str, str, str]:
    return delivery["integration_type"], delivery["status"], delivery["delivery_id"]


def show_request(
    run: Run, screen: Screen, request: Mapping[str, Any], health: Mapping[str, Any]
) -> None:
    """Show a request, its deliveries and the skipped integrations."""
    user, request_id = request["user_id"], request["request_id"]
    screen.say(f"Request {request_id} to {user}", "bold")
    for name in ("session_id", "agent_id", "subject", "mode"):
        show_field(screen, name, request[name])
    for name in ("created_at", "deliver_at", "expires_at"):
        show_time(run, screen, name, request[name])
    table = DeliveryTable(run, screen, subject=False)
    if request["deliveries"]:
        screen.say()
        table.head()
    for delivery in request["deliveries"]:
        table.row(delivery)
    show_skipped(screen, request, health)


def show_skipped(screen: Screen, request: Mapping[str, Any], health: Mapping[str, Any]) -> None:
    """Show the integrations that a request skipped, and what to do to use them."""
    if not request["deliveries"]:
        screen.say()
        screen.say("No deliveries: every integration was skipped.", "bold")
    if not request["skipped"]:
        return
    screen.say()
    screen.say("Skipped", "bold")
    words_by_type = {
        skip["integration_type"]: words.skipped(skip["reason"], skip["integration_type"], health)
        for skip in request["skipped"]
    }
    screen.points(words.grouped(request["user_id"], words_by_type))


def show_history(run: Run, response: Mapping[str, Any]) -> None:
    """Show a page, newest first."""
    user = response["user_id"]
    if not response["deliveries"]:
        run.screen.advise(f"No deliveries.\nTo find out why: dispatch doctor {quote(user)}")
        return
    table = DeliveryTable(run, run.screen, subject=True)
    table.head()
    for delivery in response["deliveries"]:
        table.row(delivery)


def problem(run: Run, delivery: Mapping[str, Any]) -> str:
    """Return the error in words, the attempts, and when the next attempt is due, if any."""
    parts = []
    if delivery["error_code"]:
        parts.append(f"{delivery['error_code']}: {words.code(delivery['error_code']).meaning}")
    receipt = delivery["receipt"]
    known = receipt and receipt["state"] in words.RECEIPTS
    if known and delivery["error_code"] not in words.REFUTED:
        parts.append(words.RECEIPTS[receipt["state"]])
    attempts = delivery["attempts"]
    if attempts > (0 if delivery["error_code"] else 1):
        parts.append(f"{attempts} of {delivery['max_attempts']} attempts")
    next_attempt_at = delivery["next_attempt_at"]
    if delivery["held"]:
        until = moment(delivery["held"]["until"], run.zone)
        parts.append(f"held until {until}: {words.held(delivery)}")
    elif next_attempt_at and parse(next_attempt_at) > run.now():
        parts.append(f"next attempt {age(next_attempt_at, run.now())}")
    return "; ".join(parts)


def show_delivery(run: Run, delivery: Mapping[str, Any]) -> None:
    """Show all fields of a delivery, and its attempts."""
    screen, user = run.screen, delivery["user_id"]
    screen.say(f"{delivery['integration_type']} to {user}: {delivery['status']}", "bold")
    for name in ("delivery_id", "request_id", "session_id", "subject", "priority", "round"):
        show_field(screen, name, delivery[name])
    times = ("created_at", "first_attempt_at", "last_attempt_at", "delivered_at", "next_attempt_at")
    for name in times:
        show_time(run, screen, name, delivery[name])
    if receipt := delivery["receipt"]:
        at = f"{moment(receipt['at'], run.zone)} ({age(receipt['at'], run.now())})"
        said = ": ".join(filter(None, (f"{receipt['state']} at {at}", receipt["detail"])))
        show_field(screen, "receipt", said)
    show_field(screen, "attempts", f"{delivery['attempts']} of {delivery['max_attempts']}")
    for name, value in delivery["metadata"].items():
        show_field(screen, name, value)
    if delivery["error_code"]:
        cause = words.code(delivery["error_code"]).about(user, delivery["integration_type"])
        screen.say()
        screen.say(f"{delivery['error_code']}: {delivery['error_message'] or cause.meaning}", "red")
        screen.say(cause.meaning)
        screen.advise(cause.advice)
    if delivery["attempt_log"]:
        screen.say()
        names = ("ROUND", "ATTEMPT", "STARTED", "DURATION", "OUTCOME", "CODE")
        rows = [
            (
                attempt["round"],
                attempt["number"],
                clock(attempt["started_at"], run.zone),
                "-" if attempt["duration_ms"] is None else f"{attempt['duration_ms']} ms",
                attempt["outcome"],
                attempt["code"] or "-",
            )
            for attempt in delivery["attempt_log"]
        ]
        screen.table(names, rows)
    if delivery["status"] == "failed":
        command = f"dispatch retry {quote(user)} {delivery['delivery_id']}"
        screen.note(f"To start a new round: {command}")


def show_time(run: Run, screen: Screen, name: str, time: str | None) -> None:
    """Show a time of the API, unless it is missing, with its distance from now."""
    if time is not None:
        show_field(screen, name, f"{moment(time, run.zone)} ({age(time, run.now())})")


def show_field(screen: Screen, name: str, value: object) -> None:
    """Show a field of the API, unless it is missing, with its name in words."""
    if value is None:
        return
    screen.field(name.replace("_", " ").replace(" id", " ID"), value)


def _state(delivery: Mapping[str, Any]) -> tuple[Any, ...]:
    return delivery["status"], delivery["round"], delivery["attempts"]
