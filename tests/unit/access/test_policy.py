"""Who may do what to whom."""

from __future__ import annotations

import pytest

from dispatcher.access.policy import ADMIN, EVERY_USER, READ, SCOPES, SEND, WRITE, Caller, require
from dispatcher.errors import ForbiddenError


def caller(user, *scopes):
    """Return somebody."""
    return Caller("token:x", user, frozenset(scopes))


def allowed(who, scope, user_id):
    """Tell whether the rule lets somebody do something."""
    try:
        require(who, scope, user_id)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize(
    ("who", "scope", "user_id", "expected"),
    [
        (caller("john.doe", READ), READ, "john.doe", True),
        (caller("john.doe", READ), WRITE, "john.doe", False),
        (caller("john.doe", READ, WRITE, SEND), SEND, "jane.doe", False),
        (caller("john.doe"), READ, "john.doe", False),
        (caller("john.doe", ADMIN), WRITE, "jane.doe", True),
        (caller("", ADMIN), SEND, "jane.doe", True),
        (caller(EVERY_USER, SEND), SEND, "jane.doe", True),
        (caller(EVERY_USER, SEND), READ, "jane.doe", False),
        (caller("", SEND), SEND, "jane.doe", False),
        (caller("", SEND), SEND, "", False),
        (caller("john.doe", READ), READ, "", False),
        (caller("john.doe", READ), READ, "John.doe", False),
        (caller("john.doe", READ), READ, "john.doe ", False),
        (caller("john.doe", READ), READ, EVERY_USER, False),
        (caller("", READ), READ, None, True),
        (caller("", WRITE), READ, None, False),
        (Caller.of({}), None, None, True),
        (Caller.of({}), READ, None, False),
        (Caller.of({}), READ, "john.doe", False),
    ],
)
def test_a_scope_says_what_and_the_user_says_for_whom(who, scope, user_id, expected):
    """Both must fit; the scope of administrators is both at once."""
    assert allowed(who, scope, user_id) is expected


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_no_scope_implies_another_but_for_the_administrators(scope):
    """Whoever may write may not read unless that was said too."""
    taken = {one for one in SCOPES if allowed(caller("john.doe", scope), one, "john.doe")}

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
    """What we did not write proves nobody: no scope is found in it."""
    strange = Caller.of({"user": None, "scopes": ["dispatch:admin"], "caller": 5})

    assert strange.scopes & SCOPES == frozenset()
