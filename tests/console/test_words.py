"""The words: catalogues with the same keys and placeholders, and a key for every text."""

from __future__ import annotations

import json
import re

import pytest

from functions.get_console.app import STATIC

CATALOGUES = {path.stem: json.loads(path.read_text()) for path in STATIC.glob("words/*.json")}
SOURCES = "\n".join(path.read_text() for path in STATIC.rglob("app/**/*.js"))


def placeholders(entry):
    """Return the names in braces of a text or of its plural forms."""
    texts = [entry] if isinstance(entry, str) else entry.values()
    return {name for text in texts for name in re.findall(r"{(\w+)}", text)}


def test_all_catalogues_say_the_same():
    """The same keys, and in each text the same placeholders."""
    english = CATALOGUES["en"]
    for name, words in CATALOGUES.items():
        assert words.keys() == english.keys(), name
        for key, entry in words.items():
            assert placeholders(entry) == placeholders(english[key]), (name, key)


def test_every_text_of_the_code_is_in_the_catalogue():
    """A missing key would show itself in place of a text."""
    keys = set(re.findall(r'\bt\("([\w.]+)"', SOURCES)) | set(
        re.findall(r'[?:] "((?:\w+\.)+\w+)"', SOURCES)
    )

    known = CATALOGUES["en"].keys()
    assert len(keys) > 100
    assert {key for key in keys if key not in known and not key.startswith("dispatch")} == set()


def test_every_text_of_the_catalogue_is_used():
    """A text that no code names, whole or by its beginning, is left over."""
    starts = re.findall(r"`((?:\w+\.)+)\$", SOURCES)
    quoted = set(re.findall(r'"((?:\w+\.)*\w+)"', SOURCES))

    left = {
        key
        for key in CATALOGUES["en"]
        if key not in quoted and not any(key.startswith(start) for start in starts)
    }
    assert left == set()


@pytest.mark.parametrize("name", CATALOGUES)
def test_texts_are_calm(name):
    """No exclamation marks, and no markup."""
    for entry in CATALOGUES[name].values():
        texts = [entry] if isinstance(entry, str) else entry.values()
        assert not [text for text in texts if re.search(r"[!<>&]", text)]
