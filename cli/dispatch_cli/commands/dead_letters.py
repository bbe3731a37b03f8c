"""Listing, redriving and purging dead letters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch_cli import dead_letter_queue, words
from dispatch_cli.commands.options import App, Format, Json, Output, Sure, repeated, run_of
from dispatch_cli.dead_letter_queue import DeadLetter, Doorbell, QueueMessage, Queues
from dispatch_cli.failures import RejectedFailure, UsageFailure
from dispatch_cli.run import Run
from dispatch_cli.screen import Table
from dispatch_cli.times import age

app = App(
    no_args_is_help=True,
    help="List, redrive or purge dead letters, the queue messages for deliveries that finally "
    "failed. Calls SQS with your AWS credentials.",
)

Stack = Annotated[
    str | None,
    typer.Option(envvar="DISPATCH_STACK", help="The CloudFormation stack with the queues."),
]
StackFile = Annotated[
    Path | None,
    typer.Option(envvar="DISPATCH_STACK_FILE", help="The local stack's file: .local/stack.json."),
]
DeadLetterQueueUrl = Annotated[
    str | None,
    typer.Option("--dead-letter-queue-url", help="The dead-letter queue, without a stack."),
]
DeliveryQueueUrl = Annotated[
    str | None,
    typer.Option("--delivery-queue-url", help="The queue that dead letters are moved to."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show how many dead letters there are.")
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of dead letters.")]

EFFECTS = {
    "new round": "the delivery gets a new round of attempts",
    "rings": "a doorbell that crashed ten times; a worker reads its message again",
    "parked": "not a message of the dispatcher; a worker moves it to the parked queue",
    "no effect": "the delivery is unknown, or is not failed in the round before",
}
"""The effect of redriving a queue message."""


@app.command("list")
def list_dead_letters(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letter_queue_url: DeadLetterQueueUrl = None,
    delivery_queue_url: DeliveryQueueUrl = None,
    limit: Limit = 100,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show the dead letters and the status of their deliveries.

    For up to 30 s other readers of the queue do not see these messages.

    Example: dispatch dead-letters list --stack-file .local/stack.json
    """
    run = run_of(ctx)
    queues = _queues(ctx, stack, stack_file, dead_letter_queue_url, delivery_queue_url)
    rows = _described(run, dead_letter_queue.peek(queues, limit))
    run.show(
        {"dead_letters": rows}, lambda response: show_dead_letters(run, response["dead_letters"])
    )
    total = dead_letter_queue.count(queues)
    if not run.as_json and total > len(rows):
        run.screen.note(f"{len(rows)} of about {total} dead letters are shown.")
        run.screen.note(f"To see all: {repeated(ctx, {'--limit': str(total)})}")


@app.command()
def redrive(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letter_queue_url: DeadLetterQueueUrl = None,
    delivery_queue_url: DeliveryQueueUrl = None,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Start a new round for all dead letters; safe to repeat.

    A dead letter has no effect if its delivery is no longer failed in the round before.

    Example: dispatch dead-letters redrive --stack-file .local/stack.json --dry-run
    """
    run = run_of(ctx)
    queues = _queues(ctx, stack, stack_file, dead_letter_queue_url, delivery_queue_url)
    total = dead_letter_queue.count(queues)
    if dry_run:
        _show_number(run, "would_redrive", total, f"Would redrive about {total} dead letters.")
        return
    is_started = dead_letter_queue.start_move(queues)
    with run.screen.progress() as progress:
        bar = progress.add_task("Redriving", total=total)

        def report(number: int) -> None:
            progress.update(bar, completed=number)

        if is_started:
            number = dead_letter_queue.watch_move(queues, report, run.sleep)
        else:
            number = dead_letter_queue.move(queues, report)
    _show_number(run, "redriven", number, f"Redriven: {number} dead letters.")


@app.command()
def purge(
    ctx: typer.Context,
    *,
    stack: Stack = None,
    stack_file: StackFile = None,
    dead_letter_queue_url: DeadLetterQueueUrl = None,
    delivery_queue_url: DeliveryQueueUrl = None,
    dry_run: DryRun = False,
    yes: Sure = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Delete all dead letters; the deliveries stay failed in the history.

    Example: dispatch dead-letters purge --stack-file .local/stack.json --yes
    """
    run = run_of(ctx)
    queues = _queues(ctx, stack, stack_file, dead_letter_queue_url, delivery_queue_url)
    total = dead_letter_queue.count(queues)
    if dry_run:
        _show_number(run, "would_purge", total, f"Would delete about {total} dead letters.")
        return
    if total == 0:
        _show_number(run, "purged", 0, "The dead-letter queue is empty.")
        return
    question = f"Delete about {total} dead letters?"
    run.confirm(question, repeated(ctx, {"--yes": None}), sure=yes)
    dead_letter_queue.purge(queues)
    text = f"Deleted: about {total} dead letters. SQS takes up to a minute."
    _show_number(run, "purged", total, text)


def show_dead_letters(run: Run, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show dead letters, the oldest first."""
    if not rows:
        run.screen.say("The dead-letter queue is empty.")
        return
    # A complete ID fits into 80 columns; the other fields are printed below.
    columns = {"SENT": 10, "TYPE": 7, "REDRIVE": 9, "DELIVERY": 36}
    table = Table(run.screen, columns, detail="DETAIL")
    table.head()
    effects = [row["redrive"].partition(": ")[0] for row in rows]
    for row, effect in zip(rows, effects, strict=True):
        cells = (
            age(row["sent_at"], run.now()),
            row["integration_type"] or "-",
            effect,
            row["delivery_id"] or "-",
        )
        table.row(cells, _detail(row))
    for effect, meaning in EFFECTS.items():
        if effect in effects:
            run.screen.note(f"{effect}: {meaning}")


def _detail(row: Mapping[str, Any]) -> str:
    """Return the user, the error, and why a redrive would have no effect."""
    if row["kind"] is None:
        return str(row["body"])
    code = row["error_code"]
    parts = [
        f"to {row['user_id']}",
        f"request {row['request_id']}" if row["request_id"] else "",
        f"{code}: {words.code(code).meaning}" if code else "",
        row["redrive"].partition(": ")[2],
    ]
    return "; ".join(filter(None, parts))


def _queues(
    ctx: typer.Context,
    stack: str | None,
    stack_file: Path | None,
    dead_letter_queue_url: str | None,
    delivery_queue_url: str | None,
) -> Queues:
    run = run_of(ctx)
    if dead_letter_queue_url and delivery_queue_url:
        return dead_letter_queue.queues_of_urls(
            run.environ, dead_letter_queue_url, delivery_queue_url
        )
    if stack_file:
        return dead_letter_queue.queues_of_file(run.environ, stack_file)
    if stack or run.settings.stack:
        return dead_letter_queue.queues_of_stack(run.environ, str(stack or run.settings.stack))
    raise UsageFailure(
        "No queues are given.",
        "Name the stack with --stack, DISPATCH_STACK or in the profile, or give both queues with "
        "--dead-letter-queue-url and --delivery-queue-url.\n"
        f"After make up: {repeated(ctx, {'--stack-file': '.local/stack.json'})}",
    )


def _described(run: Run, messages: Sequence[QueueMessage]) -> list[dict[str, Any]]:
    """Return queue messages with the status of their deliveries, the oldest first."""
    rows = []
    for message in sorted(messages, key=lambda message: message.sent_at):
        content = message.content
        letter = content if isinstance(content, DeadLetter) else None
        doorbell = content if isinstance(content, Doorbell) else None
        delivery = _delivery(run, letter) if letter else None
        rows.append(
            {
                "queue_message_id": message.id,
                "sent_at": message.sent,
                "kind": content and content.kind,
                "user_id": content and content.user_id,
                "delivery_id": letter and letter.delivery_id,
                "round": letter and letter.round,
                "message_id": doorbell and doorbell.message_id,
                "request_id": doorbell and doorbell.request_id,
                "integration_type": delivery and delivery["integration_type"],
                "status": delivery and delivery["status"],
                "error_code": delivery and delivery["error_code"],
                "redrive": _effect(content, delivery),
                "body": message.body,
            }
        )
    return rows


def _delivery(run: Run, letter: DeadLetter) -> Mapping[str, Any] | None:
    path = ("api", "v1", "users", letter.user_id, "deliveries", letter.delivery_id)
    try:
        delivery: Mapping[str, Any] = run.service.get(*path)
    except RejectedFailure as failure:
        if failure.status != 404 or failure.advice:  # with advice, the address is wrong
            raise
        return None
    return delivery


def _effect(content: DeadLetter | Doorbell | None, delivery: Mapping[str, Any] | None) -> str:
    """Return what redriving a queue message does: a key of ``EFFECTS``, with a reason if any."""
    if content is None:
        return "parked"
    if isinstance(content, Doorbell):
        return "rings"
    if delivery is None:
        return "no effect: unknown delivery"
    if delivery["status"] == "failed" and content.round == delivery["round"] + 1:
        return "new round"
    return f"no effect: {delivery['status']}, round {delivery['round']}"


def _show_number(run: Run, name: str, number: int, text: str) -> None:
    run.show({name: number}, lambda _: run.screen.say(text))
