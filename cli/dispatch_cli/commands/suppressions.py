"""Suppressed addresses: list them, and allow messages to them again."""

from typing import Annotated, Any

import typer

from dispatch_cli import words
from dispatch_cli.commands.options import App, Format, Json, Output, Sure, User, repeated, run_of
from dispatch_cli.commands.preferences import when

SES_LIST = (
    "The account list of Amazon SES may hold an email address too. To remove it there:\n"
    "aws sesv2 delete-suppressed-destination --email-address ADDRESS"
)

app = App(no_args_is_help=True, help="Manage the addresses to which nothing is sent.")

Suppression = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="One suppression; all of them without it."),
]


def path_of(user: str) -> tuple[str, ...]:
    """Return the path of a user's suppressions."""
    return "api", "v1", "users", user, "suppressions"


@app.command("list")
def list_suppressions(
    ctx: typer.Context, user: User, *, output: Output = Format.TABLE, as_json: Json = False
) -> None:
    """List a user's suppressed addresses, and the reason for each.

    Example: dispatch suppressions list ada
    """
    run = run_of(ctx)

    def table(response: Any) -> None:
        found = response["suppressions"]
        if not found:
            run.screen.say(f"No address of {user} is suppressed.")
            return
        rows = [
            (
                one["suppression_id"],
                one["address"],
                words.SUPPRESSIONS.get(one["state"], one["state"]),
                when(run, one["at"]),
                one["detail"] or "-",
            )
            for one in found
        ]
        run.screen.table(("ID", "ADDRESS", "REASON", "SINCE", "DETAIL"), rows)

    run.show(run.service.get(*path_of(user)), table)


@app.command("clear")
def clear_suppressions(
    ctx: typer.Context,
    user: User,
    suppression_id: Suppression = None,
    *,
    yes: Sure = False,
    output: Output = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Allow messages to a suppressed address again, or to all of a user.

    Example: dispatch suppressions clear ada EMAIL-9f86d081884c7d65
    """
    run = run_of(ctx)
    ids = [suppression_id] if suppression_id else _ids(run.service.get(*path_of(user)))
    if not suppression_id:
        question = f"Clear all suppressions of {user}?"
        run.confirm(question, repeated(ctx, {"--yes": None}), sure=yes)
    for one in ids:
        run.service.delete(*path_of(user), one)

    def table(_response: Any) -> None:
        text = f"Cleared: {', '.join(ids)}" if ids else f"No address of {user} is suppressed."
        run.screen.say(text)
        if any(one.startswith("EMAIL-") for one in ids):
            run.screen.note(SES_LIST)

    run.show({"user_id": user, "cleared": ids}, table)


def _ids(response: Any) -> list[str]:
    return [one["suppression_id"] for one in response["suppressions"]]
