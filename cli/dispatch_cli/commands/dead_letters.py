"""Deliveries that failed for good, and their tickets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch_cli import dead_letter_queue, words
from dispatch_cli.commands.options import Format, Output, Sure, run_of
from dispatch_cli.dead_letter_queue import Place, Ticket
from dispatch_cli.failures import RefusedFailure, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import Listing
from dispatch_cli.times import age

app = typer.Typer(
    no_args_is_help=True,
    help="Tickets of deliveries that failed for good. Speaks to SQS with your AWS credentials.",
)

Stack = Annotated[
    str | None,
    typer.Option(envvar="DISPATCH_STACK", help="The CloudFormation stack that has the queues."),
]
StackFile = Annotated[
    Path | None,
    typer.Option(
        envvar="DISPATCH_STACK_FILE", help="The local service's queues: .local/stack.json."
    ),
]
DeadLetters = Annotated[
    str | None, typer.Option("--dead-letter-queue-url", help="The queue, if there is no stack.")
]
Deliveries = Annotated[
    str | None, typer.Option("--delivery-queue-url", help="Where tickets go to start over.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
EFFECTS = {
    "starts over": "the delivery begins another round",
    "rings again": "the workers look once more at what is due",
    "nothing": "its delivery is unknown, or went on without it",
}
"""What redriving a ticket does."""

Limit = Annotated[int, typer.Option(min=1, help="Tickets to look at.")]


@app.command("list")
def list_tickets(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letters: DeadLetters = None,
    deliveries: Deliveries = None,
    limit: Limit = 100,
    output: Output = Format.TABLE,
) -> None:
    """Show the tickets, and what has become of their deliveries.

    To look is to receive: for up to half a minute other readers of the queue do not see them.
    """
    run = run_of(ctx)
    place = _place(run, stack, stack_file, dead_letters, deliveries)
    rows = _looked_up(run, dead_letter_queue.look(place, limit))
    run.show({"tickets": rows}, lambda shown: show_tickets(run, shown["tickets"]))
    total = dead_letter_queue.count(place)
    if not run.as_json and total > len(rows):
        run.screen.note(f"There are about {total}: --limit {total}")


@app.command()
def redrive(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letters: DeadLetters = None,
    deliveries: Deliveries = None,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """Start all of them over; safe to repeat.

    A ticket whose delivery has started over meanwhile does nothing.
    """
    run = run_of(ctx)
    place = _place(run, stack, stack_file, dead_letters, deliveries)
    total = dead_letter_queue.count(place)
    if dry_run:
        _tell(run, "would_redrive", total, f"Would start over about {total} tickets.")
        return
    by_aws = dead_letter_queue.start_move(place)
    with run.screen.progress() as progress:
        bar = progress.add_task("Starting over", total=total)

        def moved(number: int) -> None:
            progress.update(bar, completed=number)

        if by_aws:
            number = dead_letter_queue.watch_move(place, moved, run.sleep)
        else:
            number = dead_letter_queue.move(place, moved)
    _tell(run, "redriven", number, f"Started over: {number} tickets.")


@app.command()
def purge(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letters: DeadLetters = None,
    deliveries: Deliveries = None,
    dry_run: DryRun = False,
    yes: Sure = False,
    output: Output = Format.TABLE,
) -> None:
    """Throw all tickets away; the deliveries stay failed in the history."""
    run = run_of(ctx)
    place = _place(run, stack, stack_file, dead_letters, deliveries)
    total = dead_letter_queue.count(place)
    if dry_run:
        _tell(run, "would_purge", total, f"Would throw away about {total} tickets.")
        return
    if total == 0:
        _tell(run, "purged", 0, "There is nothing to throw away.")
        return
    run.confirm(f"Throw away about {total} tickets?", sure=yes)
    dead_letter_queue.purge(place)
    _tell(run, "purged", total, f"Thrown away: about {total} tickets. SQS takes up to a minute.")


def show_tickets(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show tickets, the oldest first."""
    if not rows:
        run.screen.say("There is no ticket.")
        return
    # 80 characters hold a whole id: the rest stands below.
    listing = Listing(run.screen, {"SINCE": 10, "TYPE": 7, "REDRIVE": 11, "DELIVERY": 36})
    listing.head()
    effects = [row["redrive"].partition(": ")[0] for row in rows]
    for row, effect in zip(rows, effects, strict=True):
        cells = (
            age(row["sent_at"], run.now()),
            row["integration_type"] or "-",
            effect,
            row["delivery_id"] or "-",
        )
        listing.row(cells, _detail(row))
    told = [f"{name} = {meaning}" for name, meaning in EFFECTS.items() if name in effects]
    run.screen.note(f"What a redrive would do: {'; '.join(told)}.")


def _detail(row: Mapping[str, Any]) -> str:
    """Say whose delivery it is, what it failed of, and why a redrive would do nothing."""
    if row["delivery_id"] is None:
        return str(row["body"])
    code = row["error_code"]
    parts = [
        f"to {row['user_id']}",
        f"{code}: {words.code(code).meaning}" if code else "",
        row["redrive"].partition(": ")[2],
    ]
    return "; ".join(filter(None, parts))


def _place(
    run: Run,
    stack: str | None,
    stack_file: Path | None,
    dead_letters: str | None,
    deliveries: str | None,
) -> Place:
    if dead_letters and deliveries:
        return dead_letter_queue.place_of_urls(run.environ, dead_letters, deliveries)
    if stack_file:
        return dead_letter_queue.place_of_file(run.environ, stack_file)
    if stack or run.settings.stack:
        return dead_letter_queue.place_of_stack(run.environ, str(stack or run.settings.stack))
    raise UsageFailure(
        "Which queues?",
        "Name the stack (--stack, DISPATCH_STACK or in the profile); after `make up`: "
        "--stack-file .local/stack.json; or both queues' URLs.",
    )


def _looked_up(run: Run, found: Sequence[Ticket]) -> list[dict[str, Any]]:
    """Put beside each ticket what the service knows of its delivery."""
    rows = []
    for ticket in sorted(found, key=lambda one: one.sent_at):
        delivery = _delivery(run, ticket) if ticket.is_readable else None
        rows.append(
            {
                "message_id": ticket.message_id,
                "sent_at": ticket.sent,
                "kind": ticket.fields.get("kind"),
                "user_id": ticket.fields.get("user_id"),
                "delivery_id": ticket.fields.get("delivery_id"),
                "round": ticket.fields.get("round"),
                "integration_type": delivery and delivery["integration_type"],
                "status": delivery and delivery["status"],
                "error_code": delivery and delivery["error_code"],
                "redrive": _effect(ticket, delivery),
                "body": ticket.body,
            }
        )
    return rows


def _delivery(run: Run, ticket: Ticket) -> Mapping[str, Any] | None:
    fields = ticket.fields
    place = ("api", "v1", "users", fields["user_id"], "deliveries", fields["delivery_id"])
    try:
        found: Mapping[str, Any] = run.service.get(*place)
    except RefusedFailure as failure:
        if failure.status != 404:
            raise
        return None
    return found


def _effect(ticket: Ticket, delivery: Mapping[str, Any] | None) -> str:
    """Say what redriving a ticket would do."""
    if ticket.fields.get("kind") in {"request", "delivery"}:
        return "rings again"
    if delivery is None:
        return "nothing: unknown"
    if delivery["status"] == "failed" and ticket.fields.get("round") == delivery["round"] + 1:
        return "starts over"
    return f"nothing: {delivery['status']}, round {delivery['round']}"


def _tell(run: Run, name: str, number: int, text: str) -> None:
    run.show({name: number}, lambda _: run.screen.say(text))
