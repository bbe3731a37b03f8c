"""Documents can be followed: commands, links, tables, code."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from dispatcher.identifiers import DELIVERY_ID, USER_ID
from dispatcher.integrations import catalogue
from tests.documents import blocks, differences, documents, rows
from tests.feedback import EVENTS
from tools.paths import ROOT

BLOCKS = list(blocks())


# Commands -----------------------------------------------------------------------------------------


def test_every_block_has_a_meaning():
    """A block that no test reads is a block that can rot."""
    for block in BLOCKS:
        where = f"{block.document}:{block.line}"
        assert block.language in {"bash", "json", "mermaid", "python", "text", "typescript"}, where
        if block.language == "bash":
            known = (
                block.mark in {None, "make", "aws", "cli", "debug", "docker", "email"}
                or block.mark.isdecimal()
            )
            assert known, where
        else:
            assert block.mark is None, where


def commands_about_email():
    """Return the two commands of the page about email that need more than a service."""
    dkim, report = (one.text for one in BLOCKS if one.mark == "email")
    return dkim, report


def test_the_signed_headers_of_a_received_email_are_listed(tmp_path):
    """Of every signature, however long its list is; and nothing else, such as the body's hash."""
    names = [*(f"X-Header-{number}" for number in range(20)), "List-Unsubscribe"]
    folded = ":\r\n\t ".join(names)
    signature = f"DKIM-Signature: v=1; a=rsa-sha256;\r\n\th={folded};\r\n\tbh=h=;\r\n\tb=eA==\r\n"
    other = "dkim-signature: v=1; h=From; bh=eA==; b=eA==\r\n"
    email = f"Received: by mx\r\n{signature}{other}From: a@example.com\r\n\r\nh=text;\r\n"
    (tmp_path / "received.eml").write_bytes(email.encode())
    dkim, _ = commands_about_email()

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", dkim],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == [f";h={':'.join(names)}", ";h=From"]


def test_the_documented_report_is_recorded_and_names_a_delivery():
    """The command that puts a report into the local queue has valid arguments."""
    _, report = commands_about_email()
    program, option, module, name, user, delivery = report.split()

    assert (program, option, module) == (".venv/bin/python", "-m", "tools.report")
    assert name in EVENTS
    assert USER_ID.fullmatch(user)
    assert DELIVERY_ID.fullmatch(delivery)


def test_every_make_target_exists():
    """Named in a block or within a sentence."""
    text = "\n".join(path.read_text() for path in documents())
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))

    assert targets >= {"demo", "test", "up"}
    command = ["make", "--dry-run", *sorted(targets)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere():
    """To one of our files, and to a heading that it has."""
    for path in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if target.startswith("https://"):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), f"{path.name} links {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
                slugs = [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings]
                assert anchor in slugs, f"{path.name} links {target}"


def test_every_page_is_in_the_index():
    """docs/README.md links each page of its folder."""
    index = ROOT / "docs" / "README.md"
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index.read_text()))

    assert {path.name for path in index.parent.glob("*.md")} - {index.name} == linked


def test_no_document_waits_for_a_part_of_it():
    """A word in capitals alone on a line is a placeholder for a missing part."""
    for path in documents():
        assert not re.findall(r"^[A-Z_]{3,}$", path.read_text(), re.MULTILINE), path.name


# Glossary -----------------------------------------------------------------------------------------

GLOSSARY = ROOT / "docs" / "glossary.md"
CENTRAL = re.compile(r"\b(?:doorbell|dead letter|override|round|lease)s?\b", re.IGNORECASE)
NOT_PROSE = re.compile(
    r"^```.*?^```$|^#.*?$|`[^`\n]*`|(?<=\])\([^)\s]*\)", re.MULTILINE | re.DOTALL
)


def first_central_term(text):
    """Return the number of the first line that uses a central term, code and headings aside."""
    blank = NOT_PROSE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    found = CENTRAL.search(blank)
    return found and blank.count("\n", 0, found.start()) + 1


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_first_use_of_a_central_term_links_the_glossary(path):
    """The link is in the line of the first use, or before it."""
    text = path.read_text()
    links = [at for at, line in enumerate(text.splitlines(), 1) if "glossary.md)" in line]
    used = first_central_term(text)

    if path != GLOSSARY and used:
        assert links, f"{path.name}:{used} uses a term of the glossary, and no line links it"
        assert links[0] <= used, f"{path.name}:{used} uses a term before the link to the glossary"


def test_code_and_headings_are_no_first_use():
    """A reader cannot follow a link there."""
    text = "# Overrides\n```text\nround\n```\n`lease` [it](override.md)\n%s\n"

    assert first_central_term(text % "Around, released") is None
    assert first_central_term(text % "Two Dead letters") == 6


def test_the_glossary_is_short():
    """It defines at most 25 terms, each in one row."""
    terms = [cells[0] for cells in rows("docs/glossary.md", "Glossary")]

    assert 0 < len(terms) <= 25
    assert len(terms) == len(set(terms))


# Tables and code ----------------------------------------------------------------------------------


def test_every_setting_of_every_integration_is_told():
    """The README's table names each integration with all keys that its config takes."""
    told = {
        cells[0]: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", cells[3]))
        for cells in rows("README.md", "Integrations")
    }

    assert told == {
        name: list(one.config_type.__annotations__) for name, one in catalogue().items()
    }


PARTS = ("Context", "Decision", "Alternatives", "Consequences", "Reversal cost")
"""The parts of a decision record."""


def test_decisions_are_numbered_dated_and_complete():
    """Each record has its number, date, status, and every part of its form."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert records
    for number, record in enumerate(records, start=1):
        text = record.read_text()
        assert record.name.startswith(f"{number:04}-")
        title = rf"# {number}\. .+\n\n\d{{4}}-\d\d-\d\d · Status: .+\n"
        assert re.match(title, text), record.name
        assert [part for part in PARTS if f"**{part}.**" not in text] == [], record.name


def test_the_documented_receiver_verifies_signatures():
    """The Python receiver reads our messages and rejects a changed body."""
    python = [one.text for one in BLOCKS if one.language == "python"]
    (code,) = [one for one in python if "standardwebhooks" in one]
    names = {}
    exec(code, names)
    secret, body, now = "whsec_" + "A" * 32, b'{"data":{"content":"Hello"}}', datetime.now(UTC)
    headers = {
        "webhook-id": "1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("1", now, body.decode()),
    }

    assert names["read_message"](secret, headers, body) == {"content": "Hello"}
    with pytest.raises(WebhookVerificationError):
        names["read_message"](secret, headers, body.replace(b"Hello", b"Hullo"))


def test_the_documented_receiver_handles_a_message_once(tmp_path):
    """A repeat does nothing; a message whose handling failed is handled when it is repeated."""
    (code,) = [one.text for one in BLOCKS if one.language == "python" and "sqlite3" in one.text]
    names = {}
    exec(code, names)
    inbox, handled = names["open_inbox"](str(tmp_path / "inbox.db")), []

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        names["handle_once"](inbox, "1", fail)
    told = [
        names["handle_once"](inbox, webhook_id, lambda one=webhook_id: handled.append(one))
        for webhook_id in ("1", "2", "1", "2")
    ]

    assert (told, handled) == ([True, True, False, False], ["1", "2"])
    again = names["open_inbox"](str(tmp_path / "inbox.db"))
    assert names["handle_once"](again, "2", fail) is False
    inbox.close()
    again.close()


# How responses are compared -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "came", "count"),
    [
        ({"a": 1}, {"a": 1}, 0),
        ({"a": 1}, {"a": 2}, 1),
        ({"a": 1}, {"a": True}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 1),
        ({"a": 1, "…": "…"}, {"a": 1, "b": 2}, 0),
        ({"a": 1, "…": "…"}, {"b": 2}, 1),
        ([1, 2], [1], 1),
        ("whsec_…", "whsec_abc", 0),
        ("whsec_…", "abc", 1),
        ("…", None, 1),
    ],
)
def test_an_answer_is_compared_honestly(shown, came, count):
    """Only what is marked as left out may differ."""
    assert len(list(differences(shown, came))) == count
