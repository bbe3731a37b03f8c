"""A caller's text and its variables."""

from __future__ import annotations

import time

import pytest

from dispatcher.messages.templating import render, rendered_size

CASES = [
    ("Hello $name", {"name": "Ada"}, "Hello Ada"),
    ("Hello ${name}!", {"name": "Ada"}, "Hello Ada!"),
    ("${name}s and $names", {"name": "dog", "names": "cats"}, "dogs and cats"),
    ("$missing and ${missing}", {"name": "x"}, "$missing and ${missing}"),
    ("100 $ and $5", {"name": "x"}, "100 $ and $5"),
    ("$$name", {"name": "x"}, "$name"),
    ("$Name $name", {"name": "low", "Name": "high"}, "high low"),
    ("$a", {"a": "$b", "b": "x"}, "$b"),
    ("$a", {"a": "${a}"}, "${a}"),
    ("$n $x $t $f", {"n": 5, "x": 0.5, "t": True, "f": False}, "5 0.5 true false"),
    ("$password", {}, "$password"),
    ("{{ 7*7 }} {% x %} {0.__class__} %(name)s", {"name": "x"}, None),
    ("${jndi:ldap://x}", {"jndi": "x"}, None),
    ("$\u00e9 ${\u00e9}", {}, None),
    ("\u00e9 $u", {"u": "\U0001f600"}, "\u00e9 \U0001f600"),
]


@pytest.mark.parametrize(("text", "variables", "rendered"), CASES)
def test_variables_are_filled_in_and_nothing_else_is_read(text, variables, rendered):
    """``$name`` and ``${name}``, once; a name without a value and all other signs stay."""
    assert render(text, variables) == (text if rendered is None else rendered)


@pytest.mark.parametrize(("text", "variables", "_rendered"), CASES)
def test_the_size_is_known_without_making_the_text(text, variables, _rendered):
    """To the byte, escapes and placeholders taken off."""
    assert rendered_size(text, variables) == len(render(text, variables).encode())


def test_a_size_bomb_is_measured_in_no_time():
    """128 KiB of ``$a`` and a value of 100 KiB would be 6 GiB, which are never built."""
    begin = time.monotonic()

    size = rendered_size("$a" * 65_536, {"a": "x" * 100_000})

    assert size == 6_553_600_000
    assert time.monotonic() - begin < 5
