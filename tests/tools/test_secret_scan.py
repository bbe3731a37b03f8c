"""Secrets do not come into the repository."""

from __future__ import annotations

import pytest

from tools import secret_scan
from tools.secret_scan import FORMS, found_in


@pytest.mark.parametrize(
    ("line", "plugins", "kind"),
    [
        ("key = " + "AKIA" + "Q3EGR5LKX7ZPT2VN", FORMS, "AWS Access Key"),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", FORMS, "Private Key"),
        ("ghp_" + "a1B2" * 9, FORMS, "GitHub Token"),
        ("https://me:" + "t0psecret" + "@example.com/", FORMS, "Basic Auth Credentials"),
        ('password = "' + "hunter2-but-longer" + '"', ("KeywordDetector",), "Secret Keyword"),
    ],
)
def test_finds_what_looks_like_a_secret(line, plugins, kind, tmp_path, monkeypatch):
    """The place and the kind are shown, the secret is not."""
    monkeypatch.setattr(secret_scan, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(f"first = 1\n{line}\n")

    found = found_in(["a.py"], plugins)

    assert found == [("a.py", 2, kind)]


@pytest.mark.parametrize(
    "line", ["first = 1", "AKIA" + "Q3EGR5LKX7ZPT2VN  # pragma: allowlist secret"]
)
def test_finds_nothing_elsewhere(line, tmp_path, monkeypatch):
    """A line may say of itself that it only looks like one."""
    monkeypatch.setattr(secret_scan, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(f"{line}\n")

    found = found_in(["a.py"], FORMS)

    assert found == []
