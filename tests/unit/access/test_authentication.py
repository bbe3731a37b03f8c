"""Authentication: which credential counts, how long, and which rights its bearer has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from dispatcher.access import authentication
from dispatcher.access.authentication import Authentication, Open
from dispatcher.access.links import Links
from dispatcher.access.policy import ADMIN, EVERY_USER, PREFERENCES, READ, SEND, WRITE, Caller
from dispatcher.access.rows import ApiKey
from dispatcher.access.sessions import Sessions
from dispatcher.errors import NotFoundError, UnauthenticatedError, UnavailableError
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


def no_sessions():
    """Fail: only bearers of sessions need them."""
    raise AssertionError("no session was claimed")


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
    return Authentication(
        tokens=lambda: tokens,
        keys=lambda: keys,
        sessions=no_sessions,
        user_claim="sub",
        clock=clock,
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_a_bearer_of_a_token_is_its_user_with_its_scopes(door, scheme):
    """Scopes of other services fall out; the scheme may be in any case (RFC 9110, 11.1)."""
    caller = door.caller([f"{scheme} a.b.c"], [])

    assert caller == Caller("token:john.doe", "john.doe", frozenset({READ, SEND}), NOW + 3600)


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
    tokens_only = Authentication(
        tokens=lambda: tokens, keys=None, sessions=no_sessions, user_claim="sub", clock=clock
    )
    keys_only = Authentication(
        tokens=None, keys=lambda: keys, sessions=no_sessions, user_claim="sub", clock=clock
    )

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

    expected = Caller(f"token:{user}", user, frozenset({READ}), NOW + 60)
    assert door.caller(["Bearer d.e.f"], []) == expected


def test_the_claim_of_the_user_is_configured(tokens, clock):
    """Some issuers' sub is a number that no system here knows."""
    tokens.known["d.e.f"] = {"exp": NOW + 60, "sub": "4711", "email": "john@example.com"}
    door = Authentication(
        tokens=lambda: tokens, keys=None, sessions=no_sessions, user_claim="email", clock=clock
    )

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
    door = Authentication(
        tokens=lambda: tokens, keys=None, sessions=no_sessions, user_claim="sub", clock=clock
    )
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

    door = Authentication(
        tokens=lambda: tokens, keys=Unreachable, sessions=no_sessions, user_claim="sub", clock=clock
    )

    with pytest.raises(UnavailableError):
        door.caller([], ["k-billing"])


@pytest.mark.parametrize(("authorizations", "keys"), [([], []), (["Basic x"], ["nonsense"])])
def test_an_open_door_takes_everybody_for_an_administrator(authorizations, keys):
    """No claim of the caller changes it."""
    caller = Open(no_sessions).caller(authorizations, keys)

    assert caller == Caller("anyone", EVERY_USER, frozenset({ADMIN}))


# Sessions of links --------------------------------------------------------------------------------


class OneKey:
    """Signs and verifies with one key."""

    def current(self):
        """Return it."""
        return "k1"

    def all(self, *, latest=False):  # noqa: ARG002 - the port's
        """Return it alone."""
        return ["k1"]


@pytest.fixture
def sessions(clock):
    """Sessions of one key."""
    return Sessions(links=Links(OneKey(), clock), clock=clock)


@pytest.fixture(params=["required", "none"])
def either(request, tokens, keys, clock, sessions):
    """Both ways of authentication."""
    if request.param == "none":
        return Open(lambda: sessions)
    return Authentication(
        tokens=lambda: tokens,
        keys=lambda: keys,
        sessions=lambda: sessions,
        user_claim="sub",
        clock=clock,
    )


def started(sessions, seconds=900, **body):
    """Return the bearer token of a session of Ada's link."""
    link = sessions.link("ada", body, "https://api.example.com")
    return sessions.start({"token": link["url"].rpartition("/")[2]}, seconds)["access_token"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_a_session_has_the_preferences_of_its_user_alone(either, sessions, scheme):
    """Also without authentication, where every other caller is an administrator."""
    caller = either.caller([f"{scheme} {started(sessions)}"], [])

    assert caller == Caller("link:ada", "ada", frozenset({PREFERENCES}), NOW + 900)
    assert caller.kind == "link"


def test_a_session_ends(either, sessions, clock):
    """After its time it is no credential, and no administrator either."""
    bearer = f"Bearer {started(sessions)}"
    clock.advance(900)

    with pytest.raises(UnauthenticatedError):
        either.caller([bearer], [])


def test_a_session_does_not_outlive_its_link(sessions, clock):
    """A link of five minutes gives no session of fifteen."""
    bearer = started(sessions, expires_in=300)

    assert sessions.caller(f"Bearer {bearer}").expires_at == clock.now() + 300


def bad_sessions(sessions):
    """Yield headers that claim to be a session without being one."""
    good = started(sessions)
    link = sessions.link("ada", {}, "")["url"].rpartition("/")[2]
    yield from (f"Bearer {good}x", f"Bearer {good[:-1]}", f"Bearer {good} x", f"Bearer {good}\n")
    yield from (f" Bearer {good}", f"Bearer dps_{link}", "Bearer dps_")
    yield from (f"Bearer {good}, Bearer {good}", f"Bearer dps_{good}", "bearer  dps_a.b.c")


def test_a_claim_of_a_session_that_is_not_valid_opens_nothing(either, sessions):
    """It is rejected, never treated as a caller without a credential."""
    taken = []
    for authorization in bad_sessions(sessions):
        try:
            taken.append((authorization, either.caller([authorization], [])))
        except UnauthenticatedError:
            continue

    assert taken == []


@pytest.mark.parametrize("more", [([], ["k-billing"]), (["Bearer a.b.c"], [])])
def test_a_session_is_the_only_credential(either, sessions, more):
    """Another one beside it could be read as another caller."""
    authorizations, keys = more
    bearer = f"Bearer {started(sessions)}"

    for order in ([bearer, *authorizations], [*authorizations, bearer]):
        with pytest.raises(UnauthenticatedError, match="more than one"):
            either.caller(order, keys)


def test_a_session_is_no_link_and_a_link_no_session(sessions):
    """Each token works for its purpose alone."""
    session = started(sessions)
    unsubscribe = sessions.links.sign("unsubscribe", {"u": "ada", "c": "news", "e": 2**40})

    for token in (session, session.removeprefix("dps_"), unsubscribe):
        with pytest.raises(NotFoundError):
            sessions.start({"token": token}, 900)
