"""Rights of callers over users."""

from __future__ import annotations

import pytest

from dispatcher.access.policy import (
    ADMIN,
    ANY,
    EVERY_USER,
    READ,
    SCOPES,
    SEND,
    WRITE,
    Caller,
    require,
)
from dispatcher.errors import ForbiddenError


def caller(user, *scopes):
    """Return a caller."""
    return Caller("token:x", user, frozenset(scopes))


def allowed(who, scopes, user_id):
    """Return whether the rule admits a caller."""
    try:
        require(who, scopes, user_id)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize(
    ("who", "scopes", "user_id", "expected"),
    [
        (caller("john.doe", READ), (READ,), "john.doe", True),
        (caller("john.doe", READ), (WRITE,), "john.doe", False),
        (caller("john.doe", READ, WRITE, SEND), (SEND,), "jane.doe", False),
        (caller("john.doe"), (READ,), "john.doe", False),
        (caller("john.doe", ADMIN), (WRITE,), "jane.doe", True),
        (caller("", ADMIN), (SEND,), "jane.doe", True),
        (caller(EVERY_USER, SEND), (SEND,), "jane.doe", True),
        (caller(EVERY_USER, SEND), (READ,), "jane.doe", False),
        (caller("", SEND), (SEND,), "jane.doe", False),
        (caller("", SEND), (SEND,), "", False),
        (caller("john.doe", READ), (READ,), "", False),
        (caller("john.doe", READ), (READ,), "John.doe", False),
        (caller("john.doe", READ), (READ,), "john.doe ", False),
        (caller("john.doe", READ), (READ,), EVERY_USER, False),
        (caller("", READ), (READ,), None, True),
        (caller("", WRITE), (READ,), None, False),
        (caller("john.doe", READ), (READ, SEND), "john.doe", True),
        (caller("john.doe", SEND), (READ, SEND), "john.doe", True),
        (caller("john.doe", WRITE), (READ, SEND), "john.doe", False),
        (caller(EVERY_USER, SEND), (READ, SEND), "jane.doe", True),
        (caller("john.doe", READ, WRITE, SEND), (), "john.doe", False),
        (caller("john.doe"), ANY, None, True),
        (caller(""), ANY, None, True),
        (caller("john.doe"), ANY, "jane.doe", False),
        (Caller.of({}), ANY, None, False),
        (Caller.of({}), None, None, True),
        (Caller.of({}), (READ,), None, False),
        (Caller.of({}), (READ,), "john.doe", False),
    ],
)
def test_a_scope_says_what_and_the_user_says_for_whom(who, scopes, user_id, expected):
    """A caller needs one of the route's scopes and the path's user; administrators need neither."""
    assert allowed(who, scopes, user_id) is expected


@pytest.mark.parametrize(
    ("scopes", "detail"),
    [
        ((WRITE,), "This requires the scope dispatch:write."),
        ((READ, SEND), "This requires the scope dispatch:read or dispatch:send."),
    ],
)
def test_a_missing_scope_is_named(scopes, detail):
    """The error names every scope that would be sufficient."""
    with pytest.raises(ForbiddenError) as caught:
        require(caller("john.doe"), scopes, "john.doe")

    assert str(caught.value) == detail


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_no_scope_implies_another_but_for_the_administrators(scope):
    """The right to write does not include the right to read."""
    taken = {one for one in SCOPES if allowed(caller("john.doe", scope), (one,), "john.doe")}

    assert taken == (SCOPES if scope == ADMIN else {scope})


@pytest.mark.parametrize(
    "who",
    [caller("john.doe", READ, SEND), caller(EVERY_USER, ADMIN), caller("", WRITE), Caller.of({})],
)
def test_what_the_authorizer_says_arrives_as_it_was_said(who):
    """API Gateway hands on flat texts alone."""
    context = who.as_context()

    assert Caller.of({**context, "principalId": "x", "integrationLatency": 3}) == who
    assert all(isinstance(value, str) for value in context.values())


def test_a_context_of_other_types_gives_nothing_away():
    """A context that the service did not write proves no caller: no scope is found in it."""
    strange = Caller.of({"user": None, "scopes": ["dispatch:admin"], "caller": 5})

    assert strange.scopes & SCOPES == frozenset()
