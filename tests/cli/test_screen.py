"""Output is escaped and fits the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from dispatch_cli.screen import Screen, Table, harmless_json, make_encodable, pieces, plain, wrapped

NASTY = "a\x1b]0;owned\x07b\x9b2Jc\rd\u202ee\u2028f[bold]g[/]:smile:\x7f"


def output(write, **environ):
    """Return the output of a screen on a terminal of 40 columns."""
    screen = Screen({"COLUMNS": "40", "TTY_COMPATIBLE": "1", **environ})
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


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", None, ["one two three"]),
        ("one two three", 8, ["one two", "three"]),
        ("  one  two three", 10, ["  one  two", "three"]),
        ("a=1, email_address=j@x.org", 20, ["a=1, email_address=", "j@x.org"]),
        ("", 5, [""]),
    ],
)
def test_text_is_wrapped_between_words(text, width, lines):
    """Spaces within a line stay; without a width nothing is wrapped."""
    assert wrapped(text, width, break_words=True) == lines


def test_a_long_word_of_a_sentence_is_not_broken():
    """An ID or a URL stays whole outside of tables, so that it can be copied."""
    assert wrapped("see https://example.com/a/b now", 10) == [
        "see",
        "https://example.com/a/b",
        "now",
    ]


def terminal(columns):
    """Return the screen of a terminal of this width."""
    return Screen({"COLUMNS": columns, "TTY_COMPATIBLE": "1", "TERM": "dumb"})


def test_a_table_breaks_an_address_at_its_signs(capsys):
    """Tables and list items break long words at signs and print them completely."""
    address = "email_address=john.doe@company.com"
    screen = terminal("40")

    screen.table(("NAME", "CONFIG"), [("EMAIL", f"a=1, {address}")])
    screen.bullet("x", "", f"It failed: {address}", "")

    assert capsys.readouterr().out.splitlines() == [
        "NAME   CONFIG",
        "EMAIL  a=1, email_address=",
        "       john.doe@company.com",
        "x It failed:",
        "  email_address=john.doe@company.com",
    ]


@pytest.mark.parametrize(
    ("columns", "subject", "lines"),
    [
        ("40", "Your laptop is ready.", ["WEBHOOK  success   Your laptop is ready."]),
        ("38", "Your laptop is ready.", ["WEBHOOK  success   Your laptop is rea…"]),
        ("39", "你好你好你好你好你好你好", ["WEBHOOK  success   你好你好你好你好你…"]),
        ("38", NASTY, [r"WEBHOOK  success   a\x1b]0;owned\x07b…"]),
        # Too narrow for the last column, which is printed below.
        ("25", "Your laptop is ready.", ["WEBHOOK  success", "  Your laptop is ready."]),
        ("12", "Your laptop", ["WEBHOOK", "  success", "  Your lapt…"]),
    ],
)
def test_short_columns_are_never_broken(capsys, columns, subject, lines):
    """The last column is cut with an ellipsis; columns that do not fit are printed below."""
    table = Table(terminal(columns), {"TYPE": 7, "STATUS": 8, "SUBJECT": None})

    table.head()
    table.row(("WEBHOOK", "success", subject))

    printed = capsys.readouterr().out.splitlines()
    assert printed[len(printed) // 2 :] == lines
    assert max(map(cell_len, printed)) <= int(columns)


def test_a_pipe_gets_one_line_with_tabs_per_row(capsys):
    """Where there is no terminal, nothing is wrapped, cut or padded, whatever COLUMNS says."""
    screen = Screen({"COLUMNS": "20", "FORCE_COLOR": "1", "TERM": "dumb"})
    table = Table(screen, {"TYPE": 7, "SUBJECT": None}, detail="DETAIL")

    table.head()
    table.row(("CLI", "Your laptop is ready.\tNow"), "timeout: no response")
    table.row(("TEST", "-"))
    screen.table(("NUMBER", "NAME"), [(1, "a long name of several words")])
    screen.field("request ID", "r-1")
    screen.bullet("•", "", "A sentence that is longer than twenty columns.", "")
    screen.say("Another sentence that is longer.")

    assert capsys.readouterr().out.splitlines() == [
        "TYPE\tSUBJECT\tDETAIL",
        "CLI\tYour laptop is ready.    Now\ttimeout: no response",
        "TEST\t-\t-",
        "NUMBER\tNAME",
        "1\ta long name of several words",
        "request ID\tr-1",
        "• A sentence that is longer than twenty columns.",
        "Another sentence that is longer.",
    ]


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({"COLUMNS": "nonsense"}, 80),
        ({"COLUMNS": "0"}, 80),
        ({}, 80),
        ({"COLUMNS": "123"}, 123),
    ],
)
def test_the_width_is_that_of_the_terminal(environ, options):
    """COLUMNS counts if it is a width; a terminal that does not tell its width has 80 columns."""
    assert Screen({"TTY_COMPATIBLE": "1", **environ}).width == options


def test_signs_have_an_ascii_form(monkeypatch):
    """A terminal that is not UTF-8 shows marks in ASCII and escapes other characters."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    make_encodable()

    screen = Screen({})
    screen.bullet("•", "", "Grüße …", "")
    stream.flush()

    assert stream.buffer.getvalue() == rb"* Gr\xfc\xdfe ..." + b"\n"


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
