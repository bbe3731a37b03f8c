"""The TypeScript of docs/webhooks.md: type-checked, and run against the product's signatures."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from channels.signature import signature_headers
from tests.clients.conftest import NODE_MODULES, PROGRAMS, run
from tests.documents import blocks

SECRET = "whsec_" + "A" * 32
BODY = json.dumps({"data": {"content": "Your laptop is **ready**, André."}}, ensure_ascii=False)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """A folder with the page's two TypeScript blocks, and a program that verifies a request."""
    folder = tmp_path_factory.mktemp("receiver")
    verification, once_only = [
        one.text
        for one in blocks()
        if one.language == "typescript" and one.document == "docs/webhooks.md"
    ]
    (folder / "receiver.ts").write_text(verification)
    (folder / "once.ts").write_text(once_only)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(NODE_MODULES)
    shutil.copy(PROGRAMS / "verify.ts", folder)
    return folder


def read(receiver, secrets, body, sent=BODY, age=0):
    """Return what the receiver reads of a body that arrives in place of the sent one."""
    signed = signature_headers(secrets, "id-1", int(time.time()) - age, sent.encode())
    request = json.dumps([SECRET, dict(signed), body])
    return json.loads(run("node", receiver / "verify.ts", request, cwd=receiver))


def test_the_documented_typescript_passes_the_strict_type_check(receiver):
    """Both blocks compile as printed, against the types of `standardwebhooks` and `pg`."""
    compiler = NODE_MODULES / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"]
    files = ["receiver.ts", "once.ts", "verify.ts"]

    run("node", compiler, *options, "--allowImportingTsExtensions", *files, cwd=receiver)


def test_the_documented_receiver_reads_our_messages(receiver):
    """It accepts the signer's headers, also during a rotation, when there are two signatures."""
    message = json.loads(BODY)["data"]

    assert read(receiver, [SECRET], BODY) == message
    assert read(receiver, ["whsec_" + "B" * 32, SECRET], BODY) == message


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"body": BODY.replace("ready", "gone")}, "No matching signature found"),
        ({"secrets": ["whsec_" + "B" * 32]}, "No matching signature found"),
        ({"age": 301}, "Message timestamp too old"),
    ],
    ids=["changed body", "another secret", "too old"],
)
def test_the_documented_receiver_rejects_other_requests(receiver, change, error):
    """A changed body, another secret and a time that is more than 5 minutes ago are rejected."""
    assert read(receiver, **({"secrets": [SECRET], "body": BODY} | change)) == error
