"""The contract of every channel with the worker, for any kind of receiver.

A channel's suite subclasses ``ChannelContract``, says in ``troubles`` what its receiver can do to
it and in ``injections`` what callers may try, and gives a fixture ``bench``.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.ports import Message
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient
from dispatcher.messages.templating import render

NOW = 1_800_000_000.125
DELIVERY = "01a3185c-5000-7002-9944-c9c3269e0d37"

ECHO = "echo-of-what-the-receiver-said"
"""Text in a receiver's responses that must not occur in an outcome."""

AFTER = 7
"""Seconds that a receiver asks to wait."""

BAD_INPUTS = Path(__file__).parents[2] / "data" / "bad_inputs.json"


class Trouble(StrEnum):
    """Behaviors of a receiver."""

    TRANSIENT = "refuses for now"
    RETRY_AFTER = "names a time to wait"
    PERMANENT = "refuses for good"
    SLOW = "does not answer"
    GARBAGE = "answers nonsense"
    HUGE = "answers without end"
    LOST = "takes the message and hangs up"


EXPECTED = dict.fromkeys(Trouble, Retry) | {Trouble.PERMANENT: Permanent}


@dataclass(frozen=True)
class Injection:
    """Text of a caller that must arrive as text, or be refused."""

    name: str
    changes: dict[str, Any]
    shown: str | None = None
    """Text that must be readable where the payload itself is markup."""

    @property
    def payload(self) -> str:
        """The text, wherever it stands."""
        value = self.shown or next(iter(self.changes.values()))
        return value.value if isinstance(value, Address) else value


class Bench(Protocol):
    """A channel, and the receiver that it is tried on."""

    channel: Any
    secrets: tuple[str, ...]
    patience: float

    def message(self, **changes: Any) -> Message:
        """Make a message that the receiver would take."""

    def prepare(self, trouble: Trouble) -> None:
        """Let the receiver make this trouble once."""

    def received(self) -> list[str]:
        """Return all that each message shows to whom it reached, in order."""


def message_for(integration_type: str, address: Address, **changes: Any) -> Message:
    """Make a message with the settings that a user without an override has."""
    config = dict(catalogue()[integration_type].config) | changes.pop("config", {})
    message = Message(
        delivery_id=DELIVERY,
        request_id="r-1",
        session_id=None,
        agent_id="weather",
        user_id="ada",
        integration_type=integration_type,
        subject="Rain",
        content="Take an umbrella",
        config=config,
        secrets={},
        address=address,
        round=1,
        attempt=1,
        accepted_at=NOW - 1,
        attempted_at=NOW,
    )
    return replace(message, **changes)


def payloads(channel: str) -> list[tuple[str, str]]:
    """Return name and text of the recorded injections into a channel or one of its fields."""
    cases = json.loads(BAD_INPUTS.read_text())["cases"]
    return [
        (case["id"], _text(case["input"]["payload"]))
        for case in cases
        if case["kind"] == "injection" and case["input"]["channel"] == channel
    ]


def injections(field: str, channel: str) -> list[Injection]:
    """Put each recorded injection into a field of a message."""
    return [Injection(f"{field}-{name}", {field: text}) for name, text in payloads(channel)]


def _text(payload: Any) -> str:
    if isinstance(payload, str):
        return payload
    prefix, unit, count, suffix = payload["$gen"]
    return prefix + unit * count + suffix


def letters(text: str) -> str:
    """Leave of a text what no formatting changes."""
    return re.sub(r"[\W_]+", "", text)


def _label(value: Any) -> str:
    return value.value if isinstance(value, Address) else value.name


class ChannelContract:
    """Every channel passes this."""

    integration_type: str
    expected = EXPECTED
    troubles: tuple[Trouble, ...] = ()
    injections: tuple[Injection, ...] = ()
    bad_addresses: tuple[Address, ...] = ()
    needs_address = True
    shows_agent = True

    def pytest_generate_tests(self, metafunc):
        """Fill in the tables of the channel."""
        for name, values in (
            ("trouble", self.troubles),
            ("injection", self.injections),
            ("bad_address", self.bad_addresses),
        ):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values, ids=_label)

    def test_a_message_arrives_once(self, bench):
        """One call is one message, with its subject and its content."""
        outcome = bench.channel.deliver(bench.message())

        (received,) = bench.received()
        assert isinstance(outcome, Delivered)
        assert ("Rain" in received, "Take an umbrella" in received) == (True, True)

    def test_variables_arrive_filled_in(self, bench):
        """The channel gets rendered text and renders nothing itself."""
        content = render("Hello $name, pay $amount", {"name": "Ada"})

        bench.channel.deliver(bench.message(content=content))

        assert "Hello Ada, pay $amount" in bench.received()[0]

    def test_agents_are_named_where_wanted(self, bench):
        """``include_agent_info`` decides; its default is true."""
        if not self.shows_agent:
            return
        for config in ({}, {"include_agent_info": True}, {"include_agent_info": False}):
            bench.channel.deliver(bench.message(config=config))

        assert ["weather" in one for one in bench.received()] == [True, True, False]

    def test_trouble_is_an_outcome(self, bench, trouble):
        """Nothing is raised, in time, and no secret and no word of the receiver gets out."""
        bench.prepare(trouble)
        began = time.monotonic()

        outcome = bench.channel.deliver(bench.message())

        assert type(outcome) is self.expected[trouble]
        assert time.monotonic() - began < bench.patience
        assert re.fullmatch(r"[A-Za-z0-9_.]{1,64}", outcome.code)
        assert 0 < len(outcome.detail) <= 200
        assert not [one for one in (*bench.secrets, ECHO) if one in repr(outcome)]
        if trouble is Trouble.RETRY_AFTER:
            assert outcome.after == AFTER

    def test_trouble_passes(self, bench, trouble):
        """The next attempt delivers; a message is there twice only if the first was accepted."""
        bench.prepare(trouble)

        bench.channel.deliver(bench.message())
        outcome = bench.channel.deliver(bench.message(attempt=2))

        assert isinstance(outcome, Delivered)
        assert len(bench.received()) == (2 if trouble is Trouble.LOST else 1)

    def test_an_address_that_is_none_is_final(self, bench, bad_address):
        """No message is sent to an invalid stored address."""
        outcome = bench.channel.deliver(bench.message(address=bad_address))

        assert type(outcome) is Permanent
        assert bench.received() == []

    def test_nobody_has_no_address(self):
        """Where no address is known there is none, rather than a guess."""
        address = catalogue()[self.integration_type].address({}, Recipient(), "ada", {})

        assert (address is None) is self.needs_address

    def test_text_stays_text(self, bench, injection):
        """Markup in a caller's text arrives as plain text, or is refused; it never acts."""
        outcome = bench.channel.deliver(bench.message(**injection.changes))

        if isinstance(outcome, Permanent):
            assert bench.received() == []
        else:
            (received,) = bench.received()
            assert letters(injection.payload) in letters(received)
            self.assert_inert(bench, injection)

    def assert_inert(self, bench, injection):
        """Look closer, where a channel's own markup could act."""
