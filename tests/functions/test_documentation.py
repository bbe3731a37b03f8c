"""The service's own documentation, for programs and for people."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime

import pytest

from tests.contract import DOCUMENT, operation
from tests.functions.service import sample
from tools.api_document import samples
from tools.api_document.operations import OPERATIONS

EXAMPLES = [
    (function, name)
    for function in OPERATIONS
    # No example can hold a token that a stack has signed.
    if function != "create_session"
    for name in samples.requests(function)
]

SHOWN_AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
"""The time at which the examples are shown: a recovery begins at most 30 days ago."""


def hashed(text):
    """Return how a policy names a script or style."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def test_the_document_is_the_committed_one(service):
    """Byte for byte, and it may be kept for five minutes."""
    status, document = service.ask("get_openapi")
    headers = service.response("get_openapi")["headers"]

    assert (status, document) == (200, DOCUMENT)
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "max-age=300"


def test_the_page_asks_no_other_host_for_anything(service):
    """Script and style are inside, and a browser may run no other script and call no other host."""
    response = service.response("get_docs")
    html, policy = response["body"], response["headers"]["Content-Security-Policy"]

    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert response["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert (len(scripts), len(styles)) == (2, 1)
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(map(hashed, scripts)),
        "style-src": hashed(styles[0]),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert re.findall(r"<[^>]+ (?:src|href)=", html.partition("<style>")[0]) == []


def test_the_page_fits_in_what_lambda_may_answer(service):
    """6 MB, written as JSON."""
    response = service.response("get_docs")

    assert 1_000_000 < len(response["body"].encode()) < 3_000_000


@pytest.mark.parametrize("function", ["get_openapi", "get_docs"])
def test_an_operator_may_keep_it_private(service, monkeypatch, function):
    """Then it is as if there were no such path."""
    monkeypatch.setenv("PUBLIC_DOCS", "false")

    status, problem = service.ask(function)

    assert status == 404
    assert problem["detail"] == "There is no such path."


@pytest.mark.parametrize("function", ["get_openapi", "get_docs"])
def test_a_missing_setting_opens_nothing(service, monkeypatch, function):
    """As for every other setting: 503, and the variable is named."""
    monkeypatch.delenv("PUBLIC_DOCS")

    status, problem = service.ask(function)

    assert status == 503
    assert "PUBLIC_DOCS" in problem["detail"]


@pytest.mark.parametrize(("function", "name"), EXAMPLES)
def test_an_example_works_when_it_is_pasted(service, time_machine, function, name):
    """With the parameters that the document shows; a changed object has to exist first."""
    if function == "recover_deliveries":
        time_machine.move_to(SHOWN_AT)
    told = operation(function)
    content = told["requestBody"]["content"]["application/json"]
    given = {one["name"]: one["example"] for one in told["parameters"] if one["in"] == "path"}
    if function == "update_override":
        service.ask("create_override", samples.requests("create_override")["email"]["body"])
    if function != "put_category":
        for known in ("security", "news", "builds"):
            service.ask("put_category", {"title": known}, category=known)

    status, _ = service.ask(function, content["examples"][name]["value"], **given)

    assert (sample(function)["pathParameters"] or {}).keys() == given.keys()
    expected = {"put_category": "201", "recover_deliveries": "202"}
    if name == "dry_run":
        expected = {}
    assert str(status) == expected.get(function, min(told["responses"]))
