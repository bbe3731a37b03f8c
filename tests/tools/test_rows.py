"""The maintainers' tool that prints rows."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from dispatcher.adapters.items import message_item, request_item
from dispatcher.delivery import transitions
from evidence.bench import rows as samples
from tests.english import text
from tools import rows
from tools.failure import ToolFailure
from tools.paths import ROOT


def printed_by_aws(item):
    """Return an item as the AWS CLI prints it: binaries in base64."""
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for name, value in item.items()
    }


def request(content):
    """Return an accepted request with one webhook, which expires after 94 days."""
    ttl = int(samples.CREATED_AT) + 94 * samples.DAY
    row = samples.request_of("hooked-0", samples.REQUEST_ID)
    return replace(row, content=content, ttl=ttl)


def test_a_message_row_is_readable():
    """Attributes, size and the whole body are shown, times in RFC 3339."""
    accepted = transitions.accept(request("Hello"), now=samples.CREATED_AT)
    row = replace(accepted.row, rev=samples.REV)

    shown = rows.readable(printed_by_aws(message_item(row)))

    assert shown == {
        "user_id": "hooked-0",
        "sk": f"MESSAGE#{samples.MESSAGE_ID}",
        "rev": samples.REV.hex(),
        "n": 1,
        "sweep_shard": shown["sweep_shard"],
        "sweep_at": "2026-11-22T21:26:36.183Z",
        "bytes": shown["bytes"],
        "body": {
            "request_id": "order-4711-shipped",
            "session_id": "session-8f14e45f",
            "subject": "Your order 4711",
            "mode": "all",
            "forced": False,
            "created_at": "2026-11-22T21:25:36.183Z",
            "keep_until": "2027-02-24T22:25:36.000Z",
            "deliveries": [
                {
                    "type": "WEBHOOK",
                    "status": "pending",
                    "priority": 30,
                    "max_attempts": 4,
                    "retry_delay_seconds": 60,
                    "due_at": "2026-11-22T21:25:36.183Z",
                }
            ],
        },
    }


def test_a_compressed_body_is_decoded():
    """A row above 1,024 bytes is shown as any other."""
    item = request_item(request(text(3_000)))
    assert "B" in item["body"]

    shown = rows.readable(printed_by_aws(item))

    assert shown["body"]["content"] == text(3_000)


def test_the_command_reads_what_the_aws_cli_prints():
    """All rows of a query are printed, one JSON document each."""
    item = printed_by_aws(request_item(request("Hello")))
    query = json.dumps({"Items": [item, item], "Count": 2})

    printed = subprocess.run(
        [sys.executable, "-m", "tools.rows"],
        input=query,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.count('"sk": "REQUEST#order-4711-shipped"') == 2


def test_content_does_not_control_the_terminal(monkeypatch, capsys):
    """C1 controls and format characters are JSON escapes; letters of all languages are shown."""
    item = request_item(request("Grüße \u202e\x9b31m"))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"Item": printed_by_aws(item)})))

    rows.main()

    assert '"content": "Grüße \\u202e\\u009b31m"' in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"Items": [{"body": {"S": "{"}}]}'])
def test_other_input_is_refused(text):
    """The error says what to pipe in."""
    with pytest.raises(ToolFailure, match="aws dynamodb get-item"):
        rows.rows(text)
