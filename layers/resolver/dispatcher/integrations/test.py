"""TEST: records the message in the user's mailbox and fails on demand, to rehearse retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import within
from dispatcher.ranges import Range
from dispatcher.variables import is_trial_stage

if TYPE_CHECKING:
    from collections.abc import Mapping


CRASH = "crash"


def failure(value: str, environ: Mapping[str, str]) -> str:
    """Accept a kind of failure; a crash affects other users' deliveries, so only for trials."""
    if value == CRASH and not is_trial_stage(environ):
        message = "must not be crash in this stage, because it ends the worker of other users too"
        raise ValueError(message)
    return value


class TestConfig(TypedDict, total=False):
    """Settings of a TEST override.

    The first ``fail_attempts`` attempts of a round fail (without it, all of them).
    """

    fail_attempts: Annotated[int, within(Range(0, 25))]
    """The number of failed attempts of a round before one succeeds; without it, all fail."""
    failure: Annotated[Literal["transient", "permanent", "crash"], Check(failure)]
    """The kind of failure: `transient` is retried, `permanent` is not, `crash` ends the worker."""
    latency_ms: Annotated[int, within(Range(0, 60_000))]
    """Duration of every attempt in milliseconds."""


def configured(environ: Mapping[str, str]) -> bool:
    """Return whether TEST is available: in stages for trials, elsewhere by parameter."""
    return is_trial_stage(environ) or environ.get("TEST_ENABLED") == "true"


def address(
    _config: Config, _recipient: Recipient, user_id: str, _environ: Mapping[str, str]
) -> Address | None:
    """Find the user's own mailbox."""
    return Address("mailbox", user_id)


INTEGRATION = Integration(
    name="TEST",
    priority=5,
    retry_count=1,
    retry_delay_seconds=10,
    auto_enabled=True,
    configured=configured,
    address=address,
    address_key="",
    config_type=TestConfig,
)
