"""Output is escaped and fits the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from dispatch_cli.screen import Listing, Screen, harmless_json, pieces, plain

NASTY = "a\x1b]0;owned\x07b\x9b2Jc\rd\u202ee\u2028f[bold]g[/]:smile:\x7f"


def output(write, **environ):
    """Return the output of a screen on a terminal of 40 columns."""
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
        # Letters and emoji of any language are printed as they are.
        ("Grüße 你好 \U0001f468\u200d\U0001f469 می\u200cروم", False, None),
    ],
)
def test_control_characters_are_escaped(text, lines, harmless):
    """Control characters and characters that reorder a line are escaped."""
    assert plain(text, lines=lines) == (text if harmless is None else harmless)


def test_json_is_escaped_without_changing_its_value():
    """Risky characters become JSON escapes, so that a reader gets the same value."""
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
def test_every_output_is_escaped(write):
    """No method of the screen prints a control character of the text."""
    text = output(write, NO_COLOR="1", TERM="dumb")

    assert not set(text) & {"\x1b", "\x07", "\x9b", "\r", "\u202e"}
    assert "[bold]g[/]:smile:" in "".join(text.split())


def test_a_command_is_not_wrapped():
    """A line with a command is not wrapped; other text is wrapped between words."""
    command = "To retry: dispatch retry a-long-name 00000000-0000-7000-8000-000000000001"

    text = output(lambda screen: screen.bullet("x", "", "It failed.", f"{command}\n{'word ' * 12}"))

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
def test_a_long_word_is_broken_between_its_parts(word, width, lines):
    """A long word is broken after a sign; inside a part only if the part is too long."""
    assert list(pieces(word, width)) == lines


def test_a_table_breaks_an_address_at_its_signs(capsys):
    """Tables and list items break long words at signs and print them completely."""
    address = "email_address=john.doe@company.com"
    screen = Screen({"COLUMNS": "40"})

    screen.table(("NAME", "CONFIG"), [("EMAIL of a user", f"a=1, {address}")])
    screen.bullet("x", "", f"It failed: {address}", "")

    assert [line.strip() for line in capsys.readouterr().out.splitlines()][2:] == [
        "EMAIL of a user   a=1, email_address=",
        "john.doe@company.com",
        "x It failed:",
        address,
    ]


@pytest.mark.parametrize(
    ("columns", "subject", "cut"),
    [
        ("40", "Your laptop is ready.", "Your laptop is ready."),
        ("39", "Your laptop is ready.", "Your laptop is read…"),
        ("40", "你好你好你好你好你好你好", "你好你好你好你好你好…"),
        ("39", NASTY, r"a\x1b]0;owned\x07b\…"),
        # Too narrow: the terminal breaks the line; the program does not.
        ("20", "Your laptop is ready.", "Your laptop…"),
    ],
)
def test_short_columns_are_never_broken(capsys, columns, subject, cut):
    """A column without a width has the room that is left, and is cut with an ellipsis."""
    listing = Listing(Screen({"COLUMNS": columns}), {"TYPE": 7, "STATUS": 8, "SUBJECT": None})

    listing.head()
    listing.row(("WEBHOOK", "success", subject))

    assert capsys.readouterr().out.splitlines() == [
        "TYPE     STATUS    SUBJECT",
        f"WEBHOOK  success   {cut}",
    ]


def test_a_message_in_the_mailbox_is_escaped(dispatch, service):
    """A message with control characters and markup is shown escaped and literally."""
    dispatch("send", "ada", "[red]C1:\x9b31m\u202eend", "--subject", "[link=x]y")
    service.deliver()

    read = dispatch("inbox", "ada", "--type", "TEST")

    assert r"  [red]C1:\x9b31m\u202eend" in read.stdout.splitlines()
    assert read.stdout.splitlines()[0].endswith("[link=x]y")


def test_no_color_disables_colors():
    """A terminal gets colors unless NO_COLOR is set."""

    def status(screen):
        screen.table(("STATUS",), [("failed",)])

    assert "\x1b[31m" in output(status)
    assert "\x1b[31m" not in output(status, NO_COLOR="1")


def test_a_pipe_gets_neither_colors_nor_progress(capsys):
    """A pipe gets plain text even if TERM names a color terminal."""
    screen = Screen({"COLUMNS": "40", "TERM": "xterm-256color"})

    screen.table(("STATUS",), [("failed",)])
    with screen.progress() as progress:
        progress.advance(progress.add_task("Redriving", total=1))

    captured = capsys.readouterr()
    assert "\x1b" not in captured.out
    assert captured.err == ""
