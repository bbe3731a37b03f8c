"""Sending messages, and reading the mailbox."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.deliveries import ENDED, DeliveryTable, show_skipped
from dispatch_cli.commands.options import (
    TYPES,
    App,
    Format,
    Json,
    Output,
    Type,
    User,
    named_values,
    repeated,
    run_of,
)
from dispatch_cli.failures import (
    Exit,
    RejectedFailure,
    TimeoutFailure,
    UnreachableFailure,
    UsageFailure,
    cause,
)
from dispatch_cli.run import FIRST_PAUSE, LONGEST_PAUSE, Run
from dispatch_cli.sent import remember
from dispatch_cli.times import age, moment

PANEL = "Messages"
PAGE = 200
"""Mailbox items that one request returns."""

app = App()


class Mode(StrEnum):
    """Which of the enabled integrations deliver."""

    ALL = "all"
    FIRST_SUCCESS = "first_success"


Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait until all deliveries have ended (exit code 1 if none succeeded)."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="With --wait: stop waiting after this time (exit code 5 if deliveries are pending).",
    ),
]


@app.command(rich_help_panel=PANEL)
def send(
    ctx: typer.Context,
    user: User,
    content: Annotated[
        str | None,
        typer.Argument(
            metavar="CONTENT", help="The message in Markdown; - reads it from standard input."
        ),
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="Read the message from a file.")] = None,
    subject: Annotated[str | None, typer.Option(help="The subject, one line.")] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--var",
            metavar="NAME=VALUE",
            help="Value for $NAME in subject and message. Quote the message with '…', so that "
            "your shell does not replace $NAME. May be repeated.",
        ),
    ] = None,
    integration_types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only send over this integration. May be repeated.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="Deliver over all integrations, or in order until one succeeds."),
    ] = None,
    category: Annotated[str | None, typer.Option(help="The category of the message.")] = None,
    deliver_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Earliest delivery, such as 2026-12-24T18:00:00Z."),
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Latest delivery.")] = None,
    request_id: Annotated[
        str | None,
        typer.Option(help="Idempotency key: a repeated request with it sends nothing twice."),
    ] = None,
    session_id: Annotated[str | None, typer.Option(help="Conversation ID.")] = None,
    agent_id: Annotated[str | None, typer.Option(help="Sending agent's ID.")] = None,
    email: Annotated[str | None, typer.Option(help="Email address, if none is set.")] = None,
    phone_number: Annotated[
        str | None, typer.Option(help="Phone number such as +4915112345678, if none is set.")
    ] = None,
    slack_user_id: Annotated[
        str | None, typer.Option(help="Slack user ID, if none is set.")
    ] = None,
    slack_channel: Annotated[
        str | None, typer.Option(help="Slack channel ID, if none is set.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Send a message to a user.

    Example: dispatch send ada 'Your laptop is **ready**.' --subject Laptop --wait
    """
    run = run_of(ctx)
    _require_wait(timeout, wait=wait)
    text, values = _content(content, file), named_values(variables or [], "--var")
    unused = sorted(values.keys() - _variables_of(f"{subject or ''}\n{text}"))
    for name in unused:
        run.screen.note(f"--var: ${name} is not in the message.")
    if unused:
        run.screen.note("Quote the message with '…', so that your shell does not replace names.")
    recipient = {
        "email": email,
        "phone_number": phone_number,
        "slack_user_id": slack_user_id,
        "slack_channel": slack_channel,
    }
    # Generated here, so that the request can be repeated if its response is lost.
    request_id = request_id or f"cli-{run.new_id()}"
    body = {
        "request_id": request_id,
        "session_id": session_id,
        "agent_id": agent_id,
        "category": category,
        "subject": subject,
        "content": text,
        "template_variables": values,
        "recipient": _without_empty(recipient),
        "integration_types": integration_types,
        "mode": mode.value if mode else None,
        "deliver_at": deliver_at,
        "expires_at": expires_at,
    }
    path = ("api", "v1", "users", user, "deliveries")
    repeat = repeated(ctx, {"--request-id": request_id})
    unknown = f"The message may have been accepted.\nTo repeat the request safely: {repeat}"
    try:
        response, was_sent = run.service.send(*path, body=_without_empty(body))
    except UnreachableFailure as failure:
        if failure.may_have_arrived:
            failure.advice = f"{unknown}\n{failure.advice}"
        raise
    except KeyboardInterrupt:
        run.screen.note(unknown)
        raise
    remember(run.environ, run.settings.url, user, response["request_id"])
    if was_sent:
        show_replay(run, user, response["request_id"])
    finish(run, response, wait=wait, timeout=timeout, was_sent=was_sent)


@app.command("test", rich_help_panel=PANEL)
def send_test(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    *,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Send a test message over one configured integration, even if the user disabled it.

    Example: dispatch test ada EMAIL --wait
    """
    run = run_of(ctx)
    _require_wait(timeout, wait=wait)
    name = integration_type.upper()
    if run.service.health().get("integrations", {}).get(name, {}).get("configured") is False:
        raise RejectedFailure(f"{name} is not configured on this system.", words.SET_UP)
    path = ("api", "v1", "users", user, "integrations", integration_type, "test")
    response = run.service.post(*path)
    remember(run.environ, run.settings.url, user, response["request_id"])
    finish(run, response, wait=wait, timeout=timeout)


@app.command(rich_help_panel=PANEL)
def inbox(
    ctx: typer.Context,
    user: User,
    *,
    integration_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="The mailbox: CLI or TEST.")
    ] = "CLI",
    limit: Annotated[int, typer.Option(help="Maximum number of messages, oldest first.")] = 50,
    ack: Annotated[
        bool, typer.Option("--ack", help="Acknowledge the messages: remove them from the mailbox.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new messages, until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Read a user's mailbox, to which the CLI integration delivers.

    Example: dispatch inbox ada --ack
    """
    run = run_of(ctx)
    if follow:
        follow_mailbox(run, user, integration_type, ack=ack)
        return
    path = ("api", "v1", "users", user, "messages")
    page = run.service.get(*path, integration_type=integration_type, limit=limit)
    run.show(page, lambda page: show_mailbox(run, page))
    for message in page["messages"] if ack else ():
        acknowledge(run, user, message["message_id"])


def follow_mailbox(run: Run, user: str, integration_type: str, *, ack: bool) -> None:
    """Show each message once, as it arrives."""
    seen: set[str] = set()

    def poll() -> bool:
        # The whole mailbox, because a retried message is sorted among older ones.
        messages = mailbox(run, user, integration_type)
        unseen = [message for message in messages if message["message_id"] not in seen]
        for message in unseen:
            if run.as_json:
                run.screen.json(message, line=True)
            else:
                show_message(run, message)
            seen.add(message["message_id"])
            if ack:
                acknowledge(run, user, message["message_id"])
        return bool(unseen)

    if run.screen.notes.is_terminal:
        run.screen.note("Waiting for messages. To stop: Ctrl-C")
    run.follow(poll)


def mailbox(run: Run, user: str, integration_type: str) -> list[Any]:
    """Return all messages of a mailbox."""
    path = ("api", "v1", "users", user, "messages")
    messages: list[Any] = []
    after = None
    while True:
        page = run.service.get(*path, integration_type=integration_type, after=after, limit=PAGE)
        messages += page["messages"]
        after = page["next_cursor"]
        if after is None:
            return messages


def acknowledge(run: Run, user: str, message_id: str) -> None:
    """Remove a message from the mailbox, unless another reader has removed it."""
    try:
        run.service.delete("api", "v1", "users", user, "messages", message_id)
    except RejectedFailure as failure:
        if failure.status != 404:
            raise


def show_mailbox(run: Run, page: Mapping[str, Any]) -> None:
    """Show a page of messages."""
    for message in page["messages"]:
        show_message(run, message)
    if not page["messages"]:
        run.screen.note("The mailbox is empty.")
    elif page["next_cursor"]:
        run.screen.note("More messages follow. Increase --limit, or remove these with --ack.")


def show_message(run: Run, message: Mapping[str, Any]) -> None:
    """Show a message."""
    origin = " · ".join(filter(None, (message["agent_id"], message["subject"])))
    run.screen.say(f"{moment(message['created_at'], run.zone)}  {origin}".rstrip(), "bold")
    run.screen.say(message["content"], indent=2)
    run.screen.say()


def finish(
    run: Run,
    response: dict[str, Any],
    *,
    wait: bool,
    timeout: float | None,
    was_sent: bool = False,
) -> None:
    """Show the accepted request and, with ``wait``, how its deliveries have ended."""
    user, request_id = response["user_id"], response["request_id"]
    lookup = f"To see the deliveries: {words.request_command(user, request_id)}"
    waits = wait and bool(response["deliveries"])
    # Before the wait, so that a user who ends it knows the ID.
    if not run.as_json:
        run.screen.say(f"Request {request_id}")
    elif waits:
        run.screen.note(f"Request {request_id}")
    is_late = False
    if waits:
        try:
            deliveries, is_late = ended(run, response, timeout)
        except KeyboardInterrupt:
            run.screen.note(f"No longer waiting; the deliveries continue.\n{lookup}")
            raise
        except UnreachableFailure as failure:
            failure.advice += f"\n{lookup}"
            raise
        response = {**response, "deliveries": deliveries}
    elif was_sent and not run.as_json:
        # The stored response says "pending" forever.
        path = ("api", "v1", "users", user, "requests", request_id)
        response = {**response, "deliveries": run.service.get(*path)["deliveries"]}
    run.show(response, lambda response: show_accepted(run, response, has_details=wait or was_sent))
    if is_late:
        pending = [each for each in response["deliveries"] if each["status"] not in ENDED]
        raise TimeoutFailure(
            f"{len(pending)} of {len(response['deliveries'])} deliveries are still pending after "
            f"{timeout:g} s; they continue.",
            lookup,
        )
    statuses = {delivery["status"] for delivery in response["deliveries"]}
    if not statuses or (wait and "success" not in statuses):
        raise typer.Exit(Exit.REJECTED)
    if not wait and not run.as_json:
        run.screen.note(lookup)


def show_replay(run: Run, user: str, request_id: str) -> None:
    """Say that a request is not new, and when it was sent."""
    request = run.service.get("api", "v1", "users", user, "requests", request_id)
    sent = f"{moment(request['created_at'], run.zone)} ({age(request['created_at'], run.now())})"
    run.screen.note(f"Request {request_id} was already sent at {sent}: nothing is sent again.")


def ended(run: Run, response: Mapping[str, Any], timeout: float | None) -> tuple[list[Any], bool]:
    """Wait until each delivery has ended; return them, and whether the time was not enough."""
    deliveries: dict[str, Any] = {}
    pause, start = FIRST_PAUSE / 4, run.elapsed()
    pending = [delivery["delivery_id"] for delivery in response["deliveries"]]
    while True:
        for delivery_id in pending:
            path = ("api", "v1", "users", response["user_id"], "deliveries", delivery_id)
            deliveries[delivery_id] = run.service.get(*path)
        pending = [each for each in pending if deliveries[each]["status"] not in ENDED]
        left = LONGEST_PAUSE if timeout is None else start + timeout - run.elapsed()
        if not pending or left <= 0:
            return list(deliveries.values()), bool(pending)
        with run.screen.notes.status(
            f"{len(pending)} of {len(deliveries)} deliveries are pending …"
        ):
            run.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def show_accepted(run: Run, response: Mapping[str, Any], *, has_details: bool) -> None:
    """Show a request's deliveries and skipped integrations."""
    table = DeliveryTable(run, run.screen, subject=False)
    if response["deliveries"]:
        run.screen.say()
        table.head()
    for delivery in response["deliveries"]:
        if has_details:
            table.row(delivery)
        else:
            table.accepted_row(delivery)
    if response["skipped"] or not response["deliveries"]:
        show_skipped(run.screen, response, run.service.health())


def _require_wait(timeout: float | None, *, wait: bool) -> None:
    if timeout is not None and not wait:
        raise UsageFailure("--timeout has no effect without --wait.", "Add --wait.")


def _content(content: str | None, file: Path | None) -> str:
    if (content is None) == (file is None):
        text = "No message given." if content is None else "Two messages given."
        raise UsageFailure(
            text, "Pass it as an argument, with - from standard input, or with --file."
        )
    try:
        if file is not None:
            return file.read_text(encoding="utf-8")
        return sys.stdin.read() if content == "-" else str(content)
    except (OSError, UnicodeError) as error:
        source = f"--file: {file}" if file is not None else "Standard input"
        raise UsageFailure(f"{source} cannot be read: {cause(error)}.") from error


def _variables_of(text: str) -> set[str]:
    """Return the names that the service would replace."""
    return {match["named"] or match["braced"] for match in Template.pattern.finditer(text)}


def _without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in (None, {}, [])}
