"""Tokens of links: what they prove, and everything that proves nothing."""

from __future__ import annotations

import string
from dataclasses import dataclass, field

import pytest
from itsdangerous import URLSafeSerializer

from dispatcher.access.links import LONGEST_TOKEN, Links
from tests.fakes import FakeClock

NOW = 1_795_382_736.0
PAYLOAD = {"u": "ada", "c": "news", "e": int(NOW) + 60}


@dataclass
class MemoryKeys:
    """Keeps keys, the current one first; ``newest`` are seen only by a read of the latest."""

    known: list[str] = field(default_factory=lambda: ["k1"])
    newest: list[str] | None = None

    def current(self):
        """Return the first."""
        return self.known[0]

    def all(self, *, latest=False):
        """Return all."""
        if latest and self.newest is not None:
            self.known = self.newest
        return self.known


@pytest.fixture
def keys():
    """One key."""
    return MemoryKeys()


@pytest.fixture
def clock():
    """Time that stands still."""
    clock = FakeClock()
    clock.seconds = NOW
    return clock


@pytest.fixture
def links(keys, clock):
    """The code under test."""
    return Links(keys, clock)


@pytest.mark.parametrize("purpose", ["unsubscribe", "preferences", "session"])
def test_a_token_gives_its_payload_back(links, purpose):
    """For the purpose that it was made for."""
    assert links.open(purpose, links.sign(purpose, PAYLOAD)) == PAYLOAD


def test_the_same_payload_is_the_same_token(links):
    """So every attempt of a delivery sends the same email."""
    assert links.sign("unsubscribe", PAYLOAD) == links.sign("unsubscribe", dict(PAYLOAD))


@pytest.mark.parametrize("purpose", ["preferences", "session"])
def test_a_token_of_another_purpose_is_worth_nothing(links, purpose):
    """Each purpose has a separate salt."""
    assert links.open(purpose, links.sign("unsubscribe", PAYLOAD)) is None


def test_every_changed_character_makes_a_token_invalid(links):
    """Also one that differs only in bits of the last character that base64 does not use."""
    token = links.sign("unsubscribe", PAYLOAD)
    alphabet = string.ascii_letters + string.digits + "-_.=!%/"

    changed = [
        token[:place] + other + token[place + 1 :]
        for place, one in enumerate(token)
        for other in (alphabet if place == len(token) - 1 else "A_.=!")
        if other != one
    ]

    assert [one for one in changed if links.open("unsubscribe", one) is not None] == []


def test_a_token_with_more_or_less_characters_is_invalid(links):
    """Cut anywhere, or with something before, after or between."""
    token = links.sign("unsubscribe", PAYLOAD)
    wrong = [
        *(token[:length] for length in range(len(token))),
        *(token[length:] for length in range(1, len(token))),
        *(
            token[:place] + more + token[place:]
            for place in range(len(token) + 1)
            for more in ".A="
        ),
        *(token + more for more in (" ", "\n", "\0", "é", "\ud800", "==")),
        token * 2,
        "",
    ]

    assert [one for one in wrong if links.open("unsubscribe", one) is not None] == []


def test_a_token_expires(links, clock):
    """It is invalid from the second of its expiry on."""
    token = links.sign("unsubscribe", PAYLOAD)

    clock.seconds = PAYLOAD["e"] - 0.001
    before = links.open("unsubscribe", token)
    clock.seconds = PAYLOAD["e"]
    after = links.open("unsubscribe", token)

    assert (before, after) == (PAYLOAD, None)


@pytest.mark.parametrize(
    "payload",
    [
        {"e": 2**40},
        {"u": "ada"},
        {"u": "a/b", "e": 2**40},
        {"u": 7, "e": 2**40},
        {"u": "ada", "e": "2099"},
    ],
)
def test_a_signed_payload_without_user_or_expiry_is_invalid(links, payload):
    """A fault of a signer opens nothing."""
    assert links.open("session", links.sign("session", payload)) is None


def test_a_key_that_was_rotated_once_verifies_and_signs_no_more(links, keys):
    """Rotated twice, it does not verify either."""
    token = links.sign("unsubscribe", PAYLOAD)

    keys.known = ["k2", "k1"]
    once, signed = links.open("unsubscribe", token), links.sign("unsubscribe", PAYLOAD)
    keys.known = ["k3", "k2"]
    twice = links.open("unsubscribe", token)

    assert (once, twice) == (PAYLOAD, None)
    assert signed != token
    assert links.open("unsubscribe", signed) == PAYLOAD


def test_a_token_of_a_key_that_is_newer_than_the_last_read_is_valid(links, keys, clock):
    """An unknown signature makes the keys be read again."""
    token = Links(MemoryKeys(["k2"]), clock).sign("unsubscribe", PAYLOAD)
    keys.newest = ["k2", "k1"]

    assert links.open("unsubscribe", token) == PAYLOAD


def test_the_longest_token_fits():
    """Of the longest user, category and expiry."""
    longest = {"u": "".join(map(chr, range(48, 58))) * 12 + "abcdefgh", "c": "x" * 40, "e": 10**11}

    token = Links(MemoryKeys(["k" * 64]), FakeClock()).sign("unsubscribe", longest)

    assert len(token) <= LONGEST_TOKEN


def test_a_token_is_signed_with_sha_256(links):
    """The signature has 43 characters, and the library's default does not verify."""
    token = links.sign("session", PAYLOAD)

    assert len(token.rpartition(".")[2]) == 43
    assert not URLSafeSerializer("k1", salt="integration-dispatcher:session").loads_unsafe(token)[0]
