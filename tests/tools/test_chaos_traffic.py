"""The messages of a chaos run."""

from __future__ import annotations

import pytest

from evidence.chaos.traffic import messages, population


@pytest.mark.parametrize("seed", [11, 12, 101])
def test_messages_depend_on_the_seed_alone(seed):
    """They make the wanted number of deliveries; equal requests have equal bodies."""
    users = population(seed, 50, 5)

    sent = messages(seed, users, 2000, 9.0)

    assert sent == messages(seed, population(seed, 50, 5), 2000, 9.0)
    assert sum(len(message.body["integration_types"]) for message in sent) == 2000
    assert len({message.request_id for message in sent}) == len(sent)
    repeated = [message for message in sent if message.copies > 1]
    assert {(message.deliver_in, message.expires_in) for message in repeated} == {(None, None)}
    cancelled = [message for message in sent if message.cancels is not None]
    assert all(message.cancels < len(message.body["integration_types"]) for message in cancelled)
    assert min(len(repeated), len(cancelled)) > 10
