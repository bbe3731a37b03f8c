"""Every command of the documents, run in the order in which a reader types them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import uuid
from itertools import groupby
from pathlib import Path

import pytest

from tests.documents import Block, blocks, differences, reads_as
from tools.local_cloud import CREDENTIALS, LocalCloud
from tools.paths import ROOT
from tools.processes import free_port

PREAMBLE = f"""
PATH="{Path(sys.executable).parent}:$PATH"
curl() {{
  command curl --silent --show-error --noproxy '*' --write-out '%{{stderr}}%{{http_code}}\\n' "$@"
}}
aws() {{
  "{sys.executable}" -m tests.aws_cli "$@"
}}
"""
"""The reader's own commands; beside the response, curl prints the status."""

PATIENCE = 20.0
"""Seconds after which a reader who looks again and again gives up."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Return a reader's stack, on a separate cloud: as `make up` deploys it."""
    home = tmp_path_factory.mktemp("reader")
    cloud = LocalCloud(home, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    yield cloud.deploy() | {"stack_file": str(cloud.stack_file)}
    cloud.forget()


def scripts() -> dict[str, list[tuple[Block, str | None]]]:
    """Return each document's commands with the responses that it shows for them."""
    everything = list(blocks())
    followed = zip(everything, [*everything[1:], None], strict=True)
    pairs = [
        (block, after.text if after and shows_output(block, after) else None)
        for block, after in followed
        if block.language == "bash" and is_run(block)
    ]
    return {name: list(pairs) for name, pairs in groupby(pairs, key=lambda pair: pair[0].document)}


def is_run(block: Block) -> bool:
    """Return whether a block is run here; the runbook's have separate tests."""
    if block.mark == "cli":
        return block.document != "docs/operations.md"
    return block.mark is None or block.mark.isdecimal()


def shows_output(block: Block, after: Block) -> bool:
    """Return whether the next block is the response or the output of this one's commands."""
    if after.document != block.document:
        return False
    right_after = block.line + block.text.count("\n") + 3
    return after.language == "json" or (after.language == "text" and after.line == right_after)


def run(text: str) -> tuple[str, list[int], str]:
    """Run a block as a person's shell does; return its output, the statuses and its complaints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", PREAMBLE + text],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    statuses = [int(line) for line in done.stderr.splitlines() if re.fullmatch(r"\d{3}", line)]
    assert done.returncode == 0, done.stderr
    return done.stdout, statuses, done.stderr


def played(block: Block, text: str, shown: str | None) -> list[str]:
    """Run a block once; return what came out differently."""
    output, statuses, _ = run(text)
    if not statuses:
        # No curl in it.
        lines = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
        return [] if shown is None or reads_as(shown, lines) else [f"shows:\n{shown}came:\n{lines}"]
    *before, last = statuses
    wanted = [int(block.mark)] if block.mark else range(200, 300)
    faults = [f"status {status}: {output}" for status in before if not 200 <= status < 300]
    if last not in wanted:
        faults.append(f"status {last} instead of {block.mark or '2xx'}: {output}")
    elif shown is not None:
        faults += differences(json.loads(shown), json.loads(output))
    return faults


@pytest.mark.parametrize("document", scripts())
def test_every_command_does_what_the_document_says(document, stack, monkeypatch):
    """A reader who pastes the commands in their order gets the responses that are shown."""
    if not all(map(shutil.which, ("curl", "jq"))):
        pytest.skip("the documents' commands need curl and jq: apt-get install curl jq")
    monkeypatch.setenv("DISPATCH_URL", stack["api_url"])
    monkeypatch.setenv("COLUMNS", "80")
    for name, text in {**CREDENTIALS, "AWS_ENDPOINT_URL": stack["endpoint_url"]}.items():
        monkeypatch.setenv(name, text)
    reader = f"reader-{uuid.uuid4().hex[:8]}"

    def ours(text: str) -> str:
        # The documents' own user, except the email address; and the suite's own address.
        text = re.sub(r"john\.doe(?!@)", reader, text)
        text = text.replace(".local/stack.json", stack["stack_file"])
        text = text.replace("http://localhost:4566", stack["endpoint_url"])
        return text.replace("http://localhost:8080", stack["api_url"])

    for block, shown in scripts()[document]:
        answer = None if shown is None else ours(shown)
        deadline = time.monotonic() + PATIENCE
        faults = played(block, ours(block.text), answer)
        # A read may be repeated: a delivery takes its time.
        while faults and " -X " not in block.text and time.monotonic() < deadline:
            time.sleep(0.2)
            faults = played(block, ours(block.text), answer)
        assert not faults, f"{block.document}:{block.line}\n" + "\n".join(faults)
