"""Making a key: the secret gets what lets it in, and nothing that gives it away."""

from __future__ import annotations

import hashlib
import json

import pytest

from dispatcher.access.policy import EVERY_USER, READ, SEND
from dispatcher.access.rows import ApiKey, parse_api_keys
from tools import api_key
from tools.failure import ToolFailure


def test_the_entry_lets_the_key_in():
    """As the service itself reads it."""
    key, entry = api_key.made("billing", [READ, SEND], EVERY_USER)

    [kept] = parse_api_keys(json.dumps({"billing": entry}))
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert kept == ApiKey("billing", digest, frozenset({READ, SEND}), EVERY_USER)
    assert key not in json.dumps(entry)


def test_keys_are_long_and_never_the_same():
    """256 bits: that is why a plain fingerprint is enough."""
    keys = {api_key.made("billing", [SEND], "")[0] for _ in range(50)}

    assert len(keys) == 50
    assert {len(key) for key in keys} == {len("disp_") + 43}


@pytest.mark.parametrize(
    ("name", "scopes", "user", "complaint"),
    [
        ("a b", [SEND], "", "has a name"),
        ("a", ["send"], "", "a: scopes is a list of"),
        ("a", [SEND], "not a user", "a: user is"),
    ],
)
def test_a_slip_is_told_before_anything_is_made(name, scopes, user, complaint):
    """Rather than by the service, once it is deployed."""
    with pytest.raises(ToolFailure, match=complaint):
        api_key.made(name, scopes, user)


def test_the_command_shows_the_key_and_its_entry(monkeypatch, capsys):
    """On two lines, to be copied from."""
    for name, value in {"NAME": "johns", "SCOPES": READ, "FOR": "john.doe"}.items():
        monkeypatch.setenv(name, value)

    code = api_key.main()

    shown, entry = capsys.readouterr().out.splitlines()
    key = shown.removeprefix("The key, shown this once: ")
    assert code == 0
    assert json.loads(entry.removeprefix("Its entry in the secret: ")) == {
        "johns": {
            "sha256": hashlib.sha256(key.encode()).hexdigest(),
            "scopes": [READ],
            "user": "john.doe",
        }
    }


def test_the_command_says_what_it_wants(monkeypatch, capsys):
    """Where nothing was said."""
    for name in ("NAME", "SCOPES", "FOR"):
        monkeypatch.delenv(name, raising=False)

    assert api_key.main() == 1
    assert capsys.readouterr().err.startswith("error: say NAME=")
