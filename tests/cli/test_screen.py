"""What is shown cannot take the terminal over, and fits what it is shown on."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from dispatch_cli.screen import Screen, harmless_json, pieces, plain

NASTY = "a\x1b]0;owned\x07b\x9b2Jc\rd\u202ee\u2028f[bold]g[/]:smile:\x7f"


def shown(write, **environ):
    """Return what a screen wrote, on a terminal of 40 columns."""
    screen = Screen({"COLUMNS": "40", "TERM": "xterm-256color", **environ})
    file = io.StringIO()
    screen.out = screen.notes = Console(
        file=file,
        force_terminal=True,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={"COLUMNS": "40", "TERM": "xterm-256color", **environ},
    )
    write(screen)
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "lines", "harmless"),
    [
        (NASTY, False, r"a\x1b]0;owned\x07b\x9b2Jc\rd\u202ee\u2028f[bold]g[/]:smile:\x7f"),
        ("two\r\nlines\tand\x00", True, "two\nlines    and\\x00"),
        ("two\nlines", False, r"two\nlines"),
        ("\ud800", False, r"\ud800"),
        # What people write in stays as it is.
        ("Grüße 你好 \U0001f468\u200d\U0001f469 می\u200cروم", False, None),
    ],
)
def test_text_of_others_is_shown_and_not_obeyed(text, lines, harmless):
    """Every control character, and all that turns the direction of a line, becomes an escape."""
    assert plain(text, lines=lines) == (text if harmless is None else harmless)


def test_json_says_the_same_without_a_character_that_a_terminal_obeys():
    """Escapes of JSON's own, so that whoever reads it gets the same value."""
    text = harmless_json(json.dumps({"text": NASTY + "\U000e0041ü"}, ensure_ascii=False, indent=2))

    assert json.loads(text) == {"text": NASTY + "\U000e0041ü"}
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\x7f", "\U000e0041"}
    assert "ü" in text


@pytest.mark.parametrize(
    "write",
    [
        lambda screen: screen.say(NASTY),
        lambda screen: screen.note(NASTY),
        lambda screen: screen.table(("NAME",), [(NASTY,)]),
        lambda screen: screen.bullet("x", "red", NASTY, NASTY),
    ],
)
def test_no_way_of_showing_lets_an_escape_through(write):
    """Even without colours, when every escape would be somebody else's."""
    text = shown(write, NO_COLOR="1", TERM="dumb")

    assert not set(text) & {"\x1b", "\x07", "\x9b", "\r", "\u202e"}
    assert "[bold]g[/]:smile:" in "".join(text.split())


def test_a_command_to_copy_stays_in_one_piece():
    """The terminal may break the line; we do not. Other text is wrapped at words."""
    command = "To retry: dispatch retry a-long-name 00000000-0000-7000-8000-000000000001"

    text = shown(lambda screen: screen.bullet("x", "", "It failed.", f"{command}\n{'word ' * 12}"))

    assert [line.rstrip() for line in text.splitlines()][1:] == [
        f"  {command}",
        "  word word word word word word word",
        "  word word word word word",
    ]


@pytest.mark.parametrize(
    ("word", "width", "lines"),
    [
        ("fits", 4, ["fits"]),
        ("email_address=john.doe@company.com,", 32, ["email_address=", "john.doe@company.com,"]),
        ("john.doe@company.com", 12, ["john.doe@", "company.com"]),
        ("https://hooks.example.com/a/b", 28, ["https://hooks.example.com/a/", "b"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("你好你好", 3, ["你", "好", "你", "好"]),
    ],
)
def test_a_long_word_is_broken_where_readers_expect_it(word, width, lines):
    """After a sign between two parts; in the middle of a part only where it is too long itself."""
    assert list(pieces(word, width)) == lines


def test_a_table_breaks_an_address_at_its_signs(capsys):
    """And leaves out nothing, in a column or under a point."""
    address = "email_address=john.doe@company.com"
    screen = Screen({"COLUMNS": "40"})

    screen.table(("NAME", "CONFIG"), [("EMAIL of somebody", f"a=1, {address}")])
    screen.bullet("x", "", f"It failed: {address}", "")

    assert [line.strip() for line in capsys.readouterr().out.splitlines()][2:] == [
        "EMAIL of somebody   a=1, email_address=",
        "john.doe@company.com",
        "x It failed:",
        address,
    ]


def test_a_message_in_the_mailbox_is_harmless(dispatch, service):
    """From the sender to the screen."""
    dispatch("send", "ada", "[red]C1:\x9b31m\u202eend", "--subject", "[link=x]y")
    service.deliver()

    read = dispatch("inbox", "ada", "--type", "TEST")

    assert r"  [red]C1:\x9b31m\u202eend" in read.stdout.splitlines()
    assert read.stdout.splitlines()[0].endswith("[link=x]y")


def test_colours_are_for_terminals_that_want_them():
    """NO_COLOR is respected, and a pipe gets none."""

    def status(screen):
        screen.table(("STATUS",), [("failed",)])

    assert "\x1b[31m" in shown(status)
    assert "\x1b[31m" not in shown(status, NO_COLOR="1")


def test_a_pipe_gets_neither_colours_nor_progress(capsys):
    """Though the environment speaks of a terminal that could."""
    screen = Screen({"COLUMNS": "40", "TERM": "xterm-256color"})

    screen.table(("STATUS",), [("failed",)])
    with screen.progress() as progress:
        progress.advance(progress.add_task("Starting over", total=1))

    shown = capsys.readouterr()
    assert "\x1b" not in shown.out
    assert shown.err == ""
