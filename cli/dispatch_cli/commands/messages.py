"""Sending messages, and reading the mailbox."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.deliveries import ENDED, show_delivery_row, table_of_deliveries
from dispatch_cli.commands.options import (
    TYPES,
    Format,
    Output,
    Type,
    User,
    named_values,
    run_of,
)
from dispatch_cli.failures import Exit, RefusedFailure, UnreachableFailure, UsageFailure
from dispatch_cli.run import FIRST_PAUSE, LONGEST_PAUSE, Run
from dispatch_cli.times import moment

PANEL = "Messages"
PAGE = 200
"""Messages that one request brings."""

app = typer.Typer()


class Mode(StrEnum):
    """Which of the enabled integrations deliver."""

    ALL = "all"
    FIRST_SUCCESS = "first_success"


Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until all deliveries have ended; 1 if none succeeded.")
]


@app.command(rich_help_panel=PANEL)
def send(
    ctx: typer.Context,
    user: User,
    content: Annotated[
        str | None,
        typer.Argument(metavar="CONTENT", help="The message, Markdown; - reads standard input."),
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="Read the message from a file.")] = None,
    subject: Annotated[str | None, typer.Option(help="One line.")] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--var",
            metavar="NAME=VALUE",
            help="Fills $NAME in the message; quote the message with '…', or your shell fills it "
            "first. May be repeated.",
        ),
    ] = None,
    integration_types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only this integration. May be repeated.",
            autocompletion=lambda: list(TYPES),
        ),
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Every integration, or one after the other until one has.")
    ] = None,
    deliver_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before: 2026-12-24T18:00:00Z.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not after.")] = None,
    request_id: Annotated[
        str | None,
        typer.Option(help="Your name for the request: sent again, it is one message all the same."),
    ] = None,
    session_id: Annotated[str | None, typer.Option(help="Where the message belongs.")] = None,
    agent_id: Annotated[str | None, typer.Option(help="Who says it.")] = None,
    email: Annotated[str | None, typer.Option(help="Address, if the user has set none.")] = None,
    phone_number: Annotated[str | None, typer.Option(help="Likewise, +4915112345678.")] = None,
    slack_user_id: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    slack_channel: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    wait: Wait = False,
    output: Output = Format.TABLE,
) -> None:
    """Send a message to a user."""
    run = run_of(ctx)
    text, named = _content(content, file), named_values(variables or [], "--var")
    for name in sorted(named.keys() - _variables_of(f"{subject or ''}\n{text}")):
        run.screen.note(f"${name} is not in the message: did your shell fill it? Quote with '…'.")
    recipient = {
        "email": email,
        "phone_number": phone_number,
        "slack_user_id": slack_user_id,
        "slack_channel": slack_channel,
    }
    body = {
        # Ours if there is none, so that a send whose answer was lost can be repeated.
        "request_id": request_id or f"cli-{run.new_id()}",
        "session_id": session_id,
        "agent_id": agent_id,
        "subject": subject,
        "content": text,
        "template_variables": named,
        "recipient": _given(recipient),
        "integration_types": integration_types,
        "mode": mode.value if mode else None,
        "deliver_at": deliver_at,
        "expires_at": expires_at,
    }
    try:
        answer = run.service.post("api", "v1", "users", user, "deliveries", body=_given(body))
    except UnreachableFailure as failure:
        if failure.may_have_arrived:
            again = f"It may have been accepted. To repeat it: --request-id {body['request_id']}"
            failure.advice = f"{again}\n{failure.advice}"
        raise
    finish(run, answer, wait=wait)


@app.command("test", rich_help_panel=PANEL)
def send_test(
    ctx: typer.Context,
    user: User,
    integration_type: Type,
    *,
    wait: Wait = False,
    output: Output = Format.TABLE,
) -> None:
    """Send a test message over one integration, even one that is off."""
    run = run_of(ctx)
    place = ("api", "v1", "users", user, "integrations", integration_type, "test")
    finish(run, run.service.post(*place), wait=wait)


@app.command(rich_help_panel=PANEL)
def inbox(
    ctx: typer.Context,
    user: User,
    *,
    integration_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="CLI or TEST.")
    ] = "CLI",
    limit: Annotated[int, typer.Option(help="Messages to show, oldest first.")] = 50,
    ack: Annotated[bool, typer.Option("--ack", help="Remove what was shown.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Read what the CLI integration put into a user's mailbox."""
    run = run_of(ctx)
    if follow:
        follow_mailbox(run, user, integration_type, ack=ack)
        return
    place = ("api", "v1", "users", user, "messages")
    answer = run.service.get(*place, integration_type=integration_type, limit=limit)
    run.show(answer, lambda shown: show_mailbox(run, shown))
    for message in answer["messages"] if ack else ():
        acknowledge(run, user, message["message_id"])


def follow_mailbox(run: Run, user: str, integration_type: str, *, ack: bool) -> None:
    """Show each message once, as it comes."""
    seen: set[str] = set()

    def look() -> bool:
        # From the beginning: a message that was retried comes late, and stands among the early.
        messages = mailbox(run, user, integration_type)
        fresh = [one for one in messages if one["message_id"] not in seen]
        for message in fresh:
            if run.as_json:
                run.screen.json(message, line=True)
            else:
                show_message(run, message)
            seen.add(message["message_id"])
            if ack:
                acknowledge(run, user, message["message_id"])
        return bool(fresh)

    if run.screen.notes.is_terminal:
        run.screen.note("Waiting for messages; Ctrl-C ends it.")
    run.follow(look)


def mailbox(run: Run, user: str, integration_type: str) -> list[Any]:
    """Read a whole mailbox."""
    place = ("api", "v1", "users", user, "messages")
    messages: list[Any] = []
    after = None
    while True:
        page = run.service.get(*place, integration_type=integration_type, after=after, limit=PAGE)
        messages += page["messages"]
        after = page["next_cursor"]
        if after is None:
            return messages


def acknowledge(run: Run, user: str, message_id: str) -> None:
    """Take a message out of the mailbox; another reader may have been faster."""
    try:
        run.service.delete("api", "v1", "users", user, "messages", message_id)
    except RefusedFailure as failure:
        if failure.status != 404:
            raise


def show_mailbox(run: Run, page: Mapping[str, Any]) -> None:
    """Show a page of messages."""
    for message in page["messages"]:
        show_message(run, message)
    if not page["messages"]:
        run.screen.note("The mailbox is empty.")
    elif page["next_cursor"]:
        run.screen.note("There are more: --limit, or --ack to take these out.")


def show_message(run: Run, message: Mapping[str, Any]) -> None:
    """Show one message."""
    who = " · ".join(filter(None, (message["agent_id"], message["subject"])))
    run.screen.say(f"{moment(message['created_at'], run.zone)}  {who}".rstrip(), "bold")
    run.screen.say(message["content"], indent=2)
    run.screen.say()


def finish(run: Run, answer: dict[str, Any], *, wait: bool) -> None:
    """Show what was accepted, or, if asked to wait, what became of it."""
    if wait:
        answer = {**answer, "deliveries": ended(run, answer)}
    run.show(answer, lambda shown: show_sent(run, shown, ended=wait))
    statuses = {one["status"] for one in answer["deliveries"]}
    if not statuses or (wait and "success" not in statuses):
        raise typer.Exit(Exit.REFUSED)


def ended(run: Run, answer: Mapping[str, Any]) -> list[Any]:
    """Wait until each delivery has ended, and return them."""
    done: dict[str, Any] = {}
    pause = FIRST_PAUSE / 4
    waiting = [one["delivery_id"] for one in answer["deliveries"]]
    while True:
        for delivery_id in waiting:
            place = ("api", "v1", "users", answer["user_id"], "deliveries", delivery_id)
            done[delivery_id] = run.service.get(*place)
        waiting = [name for name in waiting if done[name]["status"] not in ENDED]
        if not waiting:
            return list(done.values())
        with run.screen.notes.status(f"{len(waiting)} of {len(done)} deliveries are pending …"):
            run.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def show_sent(run: Run, answer: Mapping[str, Any], *, ended: bool) -> None:
    """Show a request's deliveries, and what is skipped."""
    user = answer["user_id"]
    run.screen.say(f"Request {answer['request_id']}")
    listing = table_of_deliveries(run)
    if answer["deliveries"]:
        run.screen.say()
        listing.head()
    for one in answer["deliveries"]:
        if ended:
            show_delivery_row(run, listing, one)
        else:
            listing.row(("now", one["integration_type"], one["status"], "-", one["delivery_id"]))
    if not answer["deliveries"]:
        run.screen.say("Nothing is sent: no integration takes it.", "bold")
    if answer["skipped"]:
        run.screen.say()
        run.screen.say("Skipped", "bold")
        health = run.service.health()
        skipped = {
            one["integration_type"]: words.skipped(one["reason"], one["integration_type"], health)
            for one in answer["skipped"]
        }
        run.screen.points(words.together(user, skipped))
    if answer["deliveries"] and not ended:
        run.screen.note(f"What becomes of it: dispatch history {user}")


def _content(content: str | None, file: Path | None) -> str:
    if (content is None) == (file is None):
        advice = "Give it as an argument, as - for standard input, or as --file."
        raise UsageFailure("There must be one message.", advice)
    try:
        if file is not None:
            return file.read_text()
        return sys.stdin.read() if content == "-" else str(content)
    except (OSError, UnicodeError) as error:
        raise UsageFailure(f"The message cannot be read: {error}") from error


def _variables_of(text: str) -> set[str]:
    """Return the names that the service would fill."""
    return {found["named"] or found["braced"] for found in Template.pattern.finditer(text)}


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in (None, {}, [])}
