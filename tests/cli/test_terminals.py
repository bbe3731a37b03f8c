"""Terminals of each width, pipes, and encodings: with the program as its own process."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
import trustme
from rich.cells import cell_len

from tests.cli.server import always
from tests.cli.test_sending import delivery

STATUSES = ("success", "failed", "pending", "skipped")
TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
UUID = delivery()["delivery_id"]


@pytest.fixture
def busy(dispatch, service, clock):
    """Ada has overrides, failed, pending and delivered messages, and a message in the mailbox."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", "https://hooks.example.com/a/long/path")
    dispatch("override", "set", "ada", "WEBHOOK", "--disable")
    dispatch("override", "set", "ada", "CLI", "--enable", "--priority", "2")
    for field in ("failure=permanent", "fail_attempts=9"):
        dispatch("override", "set", "ada", "TEST", "--config", field)
    dispatch("send", "ada", "Your laptop is ready.", "--subject", "Your new laptop is ready, Ada")
    service.deliver()
    clock(hours=26)
    dispatch("send", "ada", "Again", "--request-id", "r-2")
    return dispatch


TABLES = (
    "defaults",
    "config ada",
    "config grace",
    "override list ada",
    "history ada",
    "history ada --status failed",
    "request ada cli-1",
    "inbox ada",
    "health",
    "doctor ada",
    "doctor grace",
    "send ada Hello",
)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_short_word_is_broken_on_a_narrow_terminal(busy, columns):
    """No status, type or ID is torn; no line is too long, except a command or an ID."""
    for command in TABLES:
        page = busy(*command.split(), COLUMNS=str(columns)).stdout
        wide = busy(*command.split(), COLUMNS="1000").stdout

        for word in (*STATUSES, *TYPES):
            assert len(re.findall(rf"\b{word}\b", page)) >= len(
                re.findall(rf"\b{word}\b", wide)
            ) - (command == "send ada Hello"), (command, word)
        for line in filter(None, page.splitlines()):
            is_whole = "dispatch " in line or len(line.split()[-1]) > columns // 2
            assert cell_len(line) <= columns or is_whole, (command, line)
            assert line == line.rstrip(), (command, line)


def test_a_page_in_a_pipe_is_neither_wrapped_nor_padded(busy):
    """Each delivery is one line with its detail; no field is cut or padded, at any COLUMNS."""
    for command in TABLES:
        narrow = busy(*command.split(), COLUMNS="20", TTY_COMPATIBLE="").stdout

        # Messages are for reading, not rows of a table.
        if command != "inbox ada":
            assert not re.search(r"[ \t]+$|\S  +\S|…$", narrow, re.MULTILINE), (command, narrow)
    rows = [
        line.split("\t") for line in busy("history", "ada", TTY_COMPATIBLE="").stdout.splitlines()
    ]
    assert rows[0] == ["WHEN", "TYPE", "STATUS", "DELIVERY", "SUBJECT", "DETAIL"]
    assert {len(row) for row in rows} == {6}
    (failed,) = (row for row in rows if row[2] == "failed")
    assert failed[4:] == [
        "Your new laptop is ready, Ada",
        "rehearsed_failure: TEST is configured to fail; 1 of 2 attempts",
    ]


@pytest.mark.parametrize(
    "command",
    [*TABLES, "test ada TEST", "override set ada CLI --disable", "override unset ada CLI priority",
     "override rotate-secret ada", "override reset ada --yes"],
)  # fmt: skip
def test_json_has_a_short_option(busy, command):
    """--json is --output json, on every command with a table."""
    document = json.loads(busy(*command.split(), "--json").stdout)

    assert isinstance(document, dict)


def program(*words, url="http://127.0.0.1:1", **environ):
    """Return the command and the environment of the program as its own process."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "DISPATCH_URL": url}
    variables |= {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environ}
    return {"args": [sys.executable, "-m", "dispatch_cli", *words], "env": variables}


@pytest.fixture
def full():
    """A service whose history fills a pipe."""
    rows = [delivery(subject="Grüße …") for _ in range(2000)]
    page = {"user_id": "ada", "deliveries": rows, "next_cursor": None}
    with always(200, json.dumps(page)) as gateway:
        yield gateway.url


@pytest.mark.parametrize("words", [("history", "ada"), ("history", "ada", "--json"), ("--help",)])
def test_a_closed_pipe_is_silent(full, words):
    """A reader that has enough, such as head, ends the program without a message."""
    with subprocess.Popen(
        **program(*words, url=full), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline() if words != ("--help",) else None
        process.stdout.close()
        complaint = process.stderr.read()

    assert complaint == b""
    assert process.returncode == (141 if words != ("--help",) else process.returncode)


@pytest.mark.parametrize("words", [("history", "ada", "--limit", "1"), ("send", "--help")])
def test_a_terminal_without_utf_8_gets_readable_text(full, words):
    """A character that the encoding lacks is replaced; it never ends the program."""
    ran = subprocess.run(
        **program(*words, url=full, PYTHONIOENCODING="ascii"), capture_output=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.decode("ascii")


def on_a_terminal(*words, columns, url):
    """Return what the program prints on a real terminal of this width."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=follower, check=True)
    with subprocess.Popen(
        **program(*words, url=url, TERM="dumb"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ):
        os.close(follower)
        printed = b""
        try:
            while chunk := os.read(leader, 65_536):
                printed += chunk
        except OSError:  # Linux reports the end of a terminal as an error
            pass
    os.close(leader)
    return printed.decode().splitlines()


def test_the_width_of_a_real_terminal_is_respected(full):
    """Without COLUMNS the width comes from the terminal: columns that do not fit are below."""
    lines = on_a_terminal("history", "ada", columns=50, url=full)

    assert lines[:6] == [
        "WHEN        TYPE     STATUS",
        "  DELIVERY",
        "  SUBJECT",
        lines[3],
        f"  {UUID}",
        "  Grüße …",
    ]
    assert lines[3].endswith("EMAIL    success")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("https://name.invalid", "the host name cannot be resolved"),
        ("http://255.255.255.255", "the host cannot be reached"),
        ("http://" + "a" * 64 + ".example.com", "the address is invalid"),
    ],
)
def test_the_reason_of_a_missing_response_is_in_words(alone, url, reason):
    """The error has no Python class, no errno and no library text."""
    result = alone("health", DISPATCH_URL=url)

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.split("\n")[0].endswith(f"{reason}.") or reason in result.stderr
    assert not re.search(r"Errno|Error|urllib|HTTPConnection|\{", result.stderr)


def test_a_server_without_tls_is_explained(alone):
    """An https address of a server without TLS says so."""
    with always(200, "{}") as gateway:
        result = alone("health", DISPATCH_URL=gateway.url.replace("http:", "https:"))

    assert "there is no TLS at this port; is it an http address?" in " ".join(result.stderr.split())


@contextmanager
def with_tls(*names):
    """Accept TLS connections with a certificate for these names, of an unknown authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*names).configure_cert(context)

    def serve():
        connection, _ = server.accept()
        # The client refuses the certificate.
        with connection, suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_certificate_that_is_not_trusted_is_explained(alone):
    """The error says what is wrong with the certificate."""
    with with_tls("127.0.0.1") as url:
        result = alone("health", DISPATCH_URL=url)

    assert result.exit_code == 3
    assert (
        "its TLS certificate is not trusted (unable to get local issuer certificate)."
        in " ".join(result.stderr.split())
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("send", "ada", "--file", "/nowhere"), "--file: /nowhere cannot be read: no such file"),
        (("send", "ada", "--file", "/"), "--file: / cannot be read: it is a folder."),
        (
            ("override", "set", "ada", "WEBHOOK", "--header", "@/nowhere"),
            "--header: /nowhere cannot be read: no such file",
        ),
        (
            ("dead-letters", "list", "--stack-file", "/nowhere"),
            "--stack-file: /nowhere cannot be read: no such file",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_explained(alone, words, text):
    """The error has the option, the file and the reason in words."""
    result = alone(*words)

    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert "Errno" not in result.stderr


def test_a_file_that_is_no_text_is_explained(alone, tmp_path):
    """A message in another encoding than UTF-8 is not sent."""
    file = tmp_path / "message"
    file.write_bytes("Grüße".encode("latin-1"))

    result = alone("send", "ada", "--file", str(file), COLUMNS="200")

    assert result.stderr == f"error: --file: {file} cannot be read: it is not UTF-8 text.\n"


def test_a_picture_that_cannot_be_written_is_explained(dispatch):
    """The page is shown, and the error has the option and the reason."""
    result = dispatch("doctor", "ada", "--svg", "/nowhere/page.svg")

    assert result.exit_code == 2
    assert "--svg: /nowhere/page.svg cannot be written: no such file or folder." in " ".join(
        result.stderr.split()
    )


def test_the_help_names_arguments_without_braces(alone):
    """The usage line says USER, as the list of arguments does."""
    page = alone("send", "--help").output

    assert "dispatch send [OPTIONS] USER [CONTENT]" in page
    assert not re.search(r"[{}]", page)
