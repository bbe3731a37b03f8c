"""Authentication: which credential counts, how long, and which rights its bearer has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from dispatcher.access import authentication
from dispatcher.access.authentication import Authentication, Open
from dispatcher.access.policy import ADMIN, EVERY_USER, READ, SEND, WRITE, Caller
from dispatcher.access.rows import ApiKey
from dispatcher.errors import UnauthenticatedError, UnavailableError
from tests.fakes import FakeClock

NOW = 1_795_382_736.0


@dataclass
class MemoryTokens:
    """Knows what each token says, and counts how often it was asked."""

    known: dict[str, dict[str, object]] = field(default_factory=dict)
    asked: int = 0

    def claims(self, token):
        """Return what a token says."""
        self.asked += 1
        if token not in self.known:
            raise UnauthenticatedError("unknown")
        return self.known[token]


@dataclass
class MemoryKeys:
    """Keeps keys, and learns of the newest only if it is asked for the latest."""

    known: tuple[ApiKey, ...] = ()
    newest: tuple[ApiKey, ...] = ()

    def all(self, *, latest=False):
        """Return all."""
        if latest:
            self.known += self.newest
        return self.known


def api_key(name, key, *scopes, user=""):
    """Return what is kept of a key."""
    return ApiKey(name, hashlib.sha256(key.encode()).hexdigest(), frozenset(scopes), user)


@pytest.fixture
def clock():
    """Time that stands still."""
    return FakeClock(NOW)


@pytest.fixture
def tokens():
    """The token a.b.c is john.doe's, for an hour."""
    said = {"sub": "john.doe", "exp": NOW + 3600, "scope": "dispatch:read dispatch:send openid"}
    return MemoryTokens({"a.b.c": said})


@pytest.fixture
def keys():
    """Two keys, and a third that is new."""
    return MemoryKeys(
        (
            api_key("billing", "k-billing", SEND, user=EVERY_USER),
            api_key("johns", "k-johns", READ, WRITE, user="john.doe"),
        ),
        (api_key("fresh", "k-fresh", ADMIN),),
    )


@pytest.fixture
def door(tokens, keys, clock):
    """The code under test, with both kinds of credentials."""
    return Authentication(tokens=lambda: tokens, keys=lambda: keys, user_claim="sub", clock=clock)


def test_a_bearer_of_a_token_is_its_user_with_its_scopes(door):
    """Scopes of other services fall out."""
    caller = door.caller(["Bearer a.b.c"], [])

    assert caller == Caller("token:john.doe", "john.doe", frozenset({READ, SEND}))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("k-billing", Caller("key:billing", EVERY_USER, frozenset({SEND}))),
        ("k-johns", Caller("key:johns", "john.doe", frozenset({READ, WRITE}))),
        ("k-fresh", Caller("key:fresh", "", frozenset({ADMIN}))),
    ],
)
def test_a_key_is_a_service_with_what_its_entry_says(door, key, expected):
    """One that was added since the secret was read is found by reading it again."""
    assert door.caller([], [key]) == expected


@pytest.mark.parametrize(
    ("authorizations", "api_keys"),
    [
        ([], []),
        ([""], []),
        (["a.b.c"], []),
        (["Bearer"], []),
        (["Bearer "], []),
        (["Bearer x.y.z"], []),
        (["Bearer a.b"], []),
        (["Bearer a.b.c.d"], []),
        (["Bearer a.b.c "], []),
        ([" Bearer a.b.c"], []),
        (["Bearer a.b.c\n"], []),
        (["Bearer a.b.c, Bearer a.b.c"], []),
        (["Bearer a.b.\u0441"], []),
        (["Basic a.b.c"], []),
        (["BEARER: a.b.c"], []),
        (["Bearer " + "a" * 9000 + ".b.c"], []),
        (["Bearer a.b.c", "Bearer a.b.c"], []),
        (["Bearer a.b.c"], ["k-billing"]),
        (["Bearer a.b.c"], [""]),
        ([""], ["k-billing"]),
        ([], ["k-billing", "k-billing"]),
        ([], [""]),
        ([], ["K-billing"]),
        ([], ["k-billing "]),
        ([], ["k-billing, k-billing"]),
        ([], ["k-bill\u00efng"]),
        ([], ["k" * 257]),
        ([], [hashlib.sha256(b"k-billing").hexdigest()]),
    ],
)
def test_what_does_not_prove_one_caller_proves_none(door, authorizations, api_keys):
    """None, two together, another scheme, another form, or a stolen fingerprint."""
    with pytest.raises(UnauthenticatedError):
        door.caller(authorizations, api_keys)


def test_what_is_not_configured_is_not_taken(tokens, keys, clock):
    """However good it may be."""
    tokens_only = Authentication(tokens=lambda: tokens, keys=None, user_claim="sub", clock=clock)
    keys_only = Authentication(tokens=None, keys=lambda: keys, user_claim="sub", clock=clock)

    with pytest.raises(UnauthenticatedError, match="keys are not accepted here"):
        tokens_only.caller([], ["k-billing"])
    with pytest.raises(UnauthenticatedError, match="tokens are not accepted here"):
        keys_only.caller(["Bearer a.b.c"], [])


@pytest.mark.parametrize(
    ("said", "user"),
    [
        ({"sub": "Jane.Doe"}, "Jane.Doe"),
        ({"sub": "auth0|5f"}, "auth0|5f"),
        ({"sub": "*"}, ""),
        ({"sub": ""}, ""),
        ({"sub": "a b"}, ""),
        ({"sub": "john.doe\n"}, ""),
        ({"sub": 5}, ""),
        ({"sub": ["john.doe"]}, ""),
        ({}, ""),
    ],
)
def test_a_claim_that_no_user_can_be_called_by_makes_nobody(door, tokens, said, user):
    """The name of all users is no user's name: a token cannot claim it."""
    tokens.known["d.e.f"] = {"exp": NOW + 60, "scope": READ, **said}

    assert door.caller(["Bearer d.e.f"], []) == Caller(f"token:{user}", user, frozenset({READ}))


def test_the_claim_of_the_user_is_configured(tokens, clock):
    """Some issuers' sub is a number that no system here knows."""
    tokens.known["d.e.f"] = {"exp": NOW + 60, "sub": "4711", "email": "john@example.com"}
    door = Authentication(tokens=lambda: tokens, keys=None, user_claim="email", clock=clock)

    assert door.caller(["Bearer d.e.f"], []).user == "john@example.com"


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scope": "dispatch:read  dispatch:write"}, {READ, WRITE}),
        ({"scp": "dispatch:send"}, {SEND}),
        ({"scp": ["dispatch:admin", "other", 5, None]}, {ADMIN}),
        ({"scope": "", "scp": ["dispatch:admin"]}, set()),
        ({"scope": "DISPATCH:ADMIN dispatch:admin2"}, set()),
        ({"scope": {"dispatch:admin": True}}, set()),
        ({"scope": None}, set()),
        ({"scope": 5}, set()),
        ({}, set()),
    ],
)
def test_scopes_are_read_as_issuers_write_them(door, tokens, said, scopes):
    """As text or list; any other type counts as no scope."""
    tokens.known["d.e.f"] = {"exp": NOW + 60, "sub": "john.doe", **said}

    assert door.caller(["Bearer d.e.f"], []).scopes == scopes


def test_a_verified_token_is_taken_for_five_minutes_without_another_look(door, tokens, clock):
    """Then it is verified again: by then its key may have been withdrawn."""
    looks = []
    for seconds in (0, 299.9, 0.1, 1):
        clock.advance(seconds)
        door.caller(["Bearer a.b.c"], [])
        looks.append(tokens.asked)

    assert looks == [1, 1, 2, 2]


def test_a_verified_token_is_never_taken_past_its_end(door, tokens, clock):
    """Not even within the five minutes."""
    tokens.known["a.b.c"]["exp"] = NOW + 60
    door.caller(["Bearer a.b.c"], [])
    del tokens.known["a.b.c"]
    clock.advance(60)

    with pytest.raises(UnauthenticatedError):
        door.caller(["Bearer a.b.c"], [])


def test_memory_has_an_end(tokens, clock, monkeypatch):
    """A caller with ever new tokens crowds out the oldest, and nothing grows."""
    monkeypatch.setattr(authentication, "MOST_TOKENS", 2)
    door = Authentication(tokens=lambda: tokens, keys=None, user_claim="sub", clock=clock)
    said = tokens.known["a.b.c"]
    tokens.known |= dict.fromkeys(("d.e.f", "g.h.i"), said)

    for token in ("a.b.c", "d.e.f", "g.h.i", "g.h.i", "d.e.f", "a.b.c"):
        door.caller([f"Bearer {token}"], [])

    assert tokens.asked == 4


def test_no_credential_is_kept_as_it_is(door):
    """A reader of the memory finds no token in it."""
    door.caller(["Bearer a.b.c"], [])

    assert list(door._verified._entries) == [hashlib.sha256(b"a.b.c").digest()]


def test_a_key_that_cannot_be_looked_up_is_no_strangers(tokens, clock):
    """No caller is rejected because a secret could not be read."""

    class Unreachable:
        def all(self, **_):
            raise UnavailableError("GetSecretValue failed: ThrottlingException")

    door = Authentication(tokens=lambda: tokens, keys=Unreachable, user_claim="sub", clock=clock)

    with pytest.raises(UnavailableError):
        door.caller([], ["k-billing"])


@pytest.mark.parametrize(("authorizations", "keys"), [([], []), (["Basic x"], ["nonsense"])])
def test_an_open_door_takes_everybody_for_an_administrator(authorizations, keys):
    """No claim of the caller changes it."""
    assert Open().caller(authorizations, keys) == Caller("anyone", EVERY_USER, frozenset({ADMIN}))
