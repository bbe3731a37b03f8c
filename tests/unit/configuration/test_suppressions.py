"""Suppressed addresses: their identity, what is shown of them, and changes in a race."""

from __future__ import annotations

from hashlib import sha256
from itertools import permutations

import pytest

from dispatcher.configuration.rows import Suppression, UserOverrides
from dispatcher.configuration.suppressions import (
    MOST,
    WRITE_TRIES,
    Suppressions,
    shown,
    suppression_id,
    with_suppression,
)
from dispatcher.errors import NotFoundError, UnavailableError
from tests.fakes import FakeClock, FakeIdGenerator, MemoryOverrides

AT = 1_800_000_000.0
ADA = "ada@example.com"
IDENTITY = "EMAIL-" + sha256(ADA.encode()).hexdigest()[:16]


class Racing(MemoryOverrides):
    """Overrides of which another writer changes the row after each read, ``races`` times."""

    def __init__(self, races=0):
        super().__init__()
        self.races = races

    def get(self, user_id):
        """Return the row as it was before the other writer's change."""
        row = super().get(user_id)
        if self.races:
            self.races -= 1
            version = (row.version or 1) + 1
            self.rows[user_id] = UserOverrides({}, version, None, row.suppressions)
        return row


def use_case(overrides):
    """Return the use case over a table."""
    return Suppressions(overrides=overrides, clock=FakeClock(), id_generator=FakeIdGenerator())


def add(suppressions, address=ADA, integration_type="EMAIL", at=AT, **fields):
    """Suppress an address of Ada's."""
    given = {"state": "bounced", "delivery_id": "d-1", "detail": "550 5.1.1 user unknown"}
    return suppressions.add("ada", integration_type, address, at=at, **{**given, **fields})


def test_the_identity_is_a_hash_of_the_lower_cased_address():
    """Type and the first 16 hex digits of the SHA-256."""
    assert suppression_id("EMAIL", ADA) == IDENTITY
    assert suppression_id("EMAIL", "Ada@Example.COM") == IDENTITY
    number = sha256(b"+14155552671").hexdigest()[:16]
    assert suppression_id("SMS", "+14155552671") == f"SMS-{number}"


@pytest.mark.parametrize("other", ["ada@xn--exmple-cua.com", "Ada@EXÄMPLE.com", "ada@exämple.com"])
def test_a_domain_has_one_identity_in_both_its_forms(other):
    """Overrides hold the written form, providers report the one in ASCII."""
    assert suppression_id("EMAIL", other) == suppression_id("EMAIL", "ada@xn--exmple-cua.com")


def test_a_domain_without_an_ascii_form_is_no_fault():
    """The text itself identifies it."""
    long = f"ada@{'ä' * 70}.com"

    assert suppression_id("EMAIL", long.upper()) == suppression_id("EMAIL", long)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ada@example.com", "a•••@example.com"),
        ("a@example.com", "a•••@example.com"),
        ("+14155552671", "+14•••71"),
    ],
)
def test_an_address_is_shortened_for_people(address, expected):
    """Enough to recognize one's own address, too little to write to it."""
    assert shown(address) == expected


def test_an_address_is_suppressed_once():
    """A doubled event writes nothing, and the list shows each field."""
    suppressions = use_case(MemoryOverrides())

    assert [add(suppressions), add(suppressions, address="Ada@example.com")] == [True, False]
    assert suppressions.list("ada") == {
        "user_id": "ada",
        "suppressions": [
            {
                "suppression_id": IDENTITY,
                "integration_type": "EMAIL",
                "state": "bounced",
                "address": "a•••@example.com",
                "at": "2027-01-15T08:00:00.000Z",
                "delivery_id": "d-1",
                "detail": "550 5.1.1 user unknown",
            }
        ],
    }


def test_the_order_of_events_does_not_matter():
    """The latest fact about an address stands, and the newest 20 addresses."""
    facts = [
        ("a", Suppression("bounced", AT, "d-1", "", "")),
        ("a", Suppression("complained", AT + 5, "d-2", "", "")),
        ("a", Suppression("bounced", AT + 5, "d-3", "", "")),
        ("b", Suppression("bounced", AT + 1, "d-4", "", "")),
    ]

    def after(order):
        known = {}
        for identity, fact in order:
            known = with_suppression(known, identity, fact)
        return known

    expected = {"a": facts[1][1], "b": facts[3][1]}
    assert all(after([*order, *order]) == expected for order in permutations(facts))


@pytest.mark.parametrize("order", [1, -1])
def test_the_oldest_suppression_goes(order):
    """A row holds 20, also if the oldest arrives last."""
    suppressions = use_case(MemoryOverrides())

    for count in range(MOST + 2)[::order]:
        add(suppressions, address=f"{count}@example.com", at=AT + count)

    kept = suppressions.list("ada")["suppressions"]
    assert [one["address"][0] for one in kept] == [f"{count}"[0] for count in range(21, 1, -1)]


@pytest.mark.parametrize("has_row", [False, True])
def test_a_lost_race_is_repeated_on_the_new_row(has_row):
    """Other writers of the row delay a suppression, and never lose it."""
    overrides = Racing()
    suppressions = use_case(overrides)
    if has_row:
        add(suppressions, address="b@example.com")
    overrides.races = WRITE_TRIES - 1

    assert add(suppressions) is True
    assert IDENTITY in overrides.get("ada").suppressions
    overrides.races = WRITE_TRIES - 1
    suppressions.remove("ada", IDENTITY)
    assert IDENTITY not in overrides.get("ada").suppressions


def test_a_row_that_keeps_changing_is_unavailable():
    """The caller's queue message comes back, or the request is repeated."""
    overrides = Racing()
    suppressions = use_case(overrides)
    add(suppressions)
    overrides.races = 2 * WRITE_TRIES

    with pytest.raises(UnavailableError):
        add(suppressions, address="b@example.com")
    with pytest.raises(UnavailableError):
        suppressions.remove("ada", IDENTITY)


def test_a_removed_suppression_leaves_no_row():
    """The row was there for that fact alone."""
    overrides = MemoryOverrides()
    suppressions = use_case(overrides)
    add(suppressions)

    suppressions.remove("ada", IDENTITY)

    assert overrides.rows == {}


def test_an_unknown_suppression_cannot_be_removed():
    """The error says where the IDs are found."""
    with pytest.raises(NotFoundError, match=r"no suppression EMAIL-00; GET .*/suppressions"):
        use_case(MemoryOverrides()).remove("ada", "EMAIL-00")
