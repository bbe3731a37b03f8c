"""The composition root: the only module that knows which adapter stands behind which port.

Each function makes one use case on first use and keeps it for the life of the container. What a
function needs is imported in its body, so that a handler loads only what its route uses.
"""

from __future__ import annotations

import gc
import logging
import os
import re
from functools import cache, partial
from typing import TYPE_CHECKING, TypedDict

from dispatcher.errors import BrokenSettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from aws_lambda_powertools import Logger

    from dispatcher.access.authentication import Authentication, Open
    from dispatcher.access.ports import ApiKeys, Tokens
    from dispatcher.adapters.event_log import StructuredEventLog
    from dispatcher.adapters.sqs import SqsDoorbells
    from dispatcher.adapters.system import SystemClock, SystemIdGenerator
    from dispatcher.configuration.health import Health
    from dispatcher.configuration.overrides import Configurations, Defaults
    from dispatcher.configuration.ports import Overrides, Vault
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.delivery.ports import Channel, Deliveries, Outcomes
    from dispatcher.delivery.redrive import Rounds
    from dispatcher.delivery.sweeper import Sweeper
    from dispatcher.delivery.worker import Worker
    from dispatcher.messages.acceptance import Acceptance
    from dispatcher.messages.history import History
    from dispatcher.messages.intake import Intake
    from dispatcher.messages.mailbox import Mailbox

DAY = 86_400.0

# Python's own 700 make a cold start look through all that was imported, again and again, though
# hardly any of it is ever garbage: that was a sixth of its time.
gc.set_threshold(200_000)


# What handlers call -------------------------------------------------------------------------------


@cache
def authentication() -> Authentication | Open:
    """Return what finds out who sends a request."""
    from dispatcher.access.authentication import Authentication, Open

    mode = _needed("AUTH_MODE")
    if mode == "none":
        # CloudFormation refuses it in prod too; but it is one setting away from open to the world.
        if _environ().get("STAGE") not in {"local", "dev"}:
            raise BrokenSettingError("AUTH_MODE", "may be none in the stages local and dev alone")
        return Open()
    if mode != "required":
        raise BrokenSettingError("AUTH_MODE", f"is {mode!r}: set it to required or none")
    tokens, keys = _tokens(), _api_keys()
    if tokens is None and keys is None:
        raise BrokenSettingError("AUTH_MODE", "is required, without OIDC_ISSUER or API_KEYS_SECRET")
    return Authentication(tokens=tokens, keys=keys, user_claim=_needed("USER_CLAIM"), clock=clock())


@cache
def defaults() -> Defaults:
    """Return what shows the system's defaults."""
    from dispatcher.configuration.overrides import Defaults

    return Defaults(system_defaults=_system_defaults)


@cache
def configurations() -> Configurations:
    """Return what reads and changes overrides and effective configurations."""
    from dispatcher.configuration.overrides import Configurations

    return Configurations(
        environ=_environ(),
        system_defaults=_system_defaults,
        overrides=_overrides(),
        vault=_vault(),
        clock=clock(),
        id_generator=_id_generator(),
    )


@cache
def acceptance() -> Acceptance:
    """Return what takes messages in."""
    from dispatcher.messages.acceptance import Acceptance

    return Acceptance(**_shared())


@cache
def intake() -> Intake:
    """Return what takes events in."""
    from dispatcher.messages.intake import Intake

    return Intake(acceptance=acceptance(), doorbells=_doorbells(), event_log=event_log())


@cache
def history() -> History:
    """Return what shows deliveries."""
    from dispatcher.messages.history import History

    return History(deliveries=_deliveries(), clock=clock())


@cache
def mailbox() -> Mailbox:
    """Return what shows the messages in mailboxes."""
    from dispatcher.messages.mailbox import Mailbox

    return Mailbox(deliveries=_deliveries(), clock=clock())


@cache
def rounds() -> Rounds:
    """Return what starts deliveries over and calls them off."""
    from dispatcher.delivery.redrive import Rounds

    return Rounds(**_shared(), outcomes=_outcomes())


@cache
def worker() -> Worker:
    """Return what answers doorbells."""
    from dispatcher.adapters.system import ThreadWatchdog
    from dispatcher.delivery.worker import Worker

    return Worker(
        **_shared(),
        outcomes=_outcomes(),
        vault=_vault(),
        channels=_channel,
        rounds=rounds(),
        watchdog=ThreadWatchdog(),
    )


@cache
def sweeper() -> Sweeper:
    """Return what rings for everything that is owed."""
    from dispatcher.delivery.sweeper import Sweeper

    # One that waits for AWS leaves the processor idle; with eight, one shard alone keeps it busy.
    return Sweeper(
        deliveries=_deliveries(),
        doorbells=_doorbells(),
        clock=clock(),
        event_log=event_log(),
        threads=8,
    )


@cache
def health() -> Health:
    """Return what tells how the service stands."""
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.probes import LiveProbes
    from dispatcher.configuration.health import Health

    queues = {
        "DeliveryQueue": "DELIVERY_QUEUE_URL",
        "RetryQueue": "RETRY_QUEUE_URL",
        "DeadLetterQueue": "DEAD_LETTER_QUEUE_URL",
        "ParkedQueue": "PARKED_QUEUE_URL",
        "IntakeQueue": "INTAKE_QUEUE_URL",
    }
    probes = LiveProbes(
        client("dynamodb"),
        client("sqs"),
        overrides=_needed("OVERRIDES_TABLE"),
        deliveries=_needed("DELIVERIES_TABLE"),
        queues={name: _needed(variable) for name, variable in queues.items()},
        peer=_peer,
    )
    service = _environ().get("POWERTOOLS_SERVICE_NAME", "integration-dispatcher")
    return Health(system_defaults=_system_defaults, service=service, probes=probes, clock=clock())


@cache
def clock() -> SystemClock:
    """Return the time."""
    from dispatcher.adapters.system import SystemClock

    return SystemClock()


@cache
def logger() -> Logger:
    """Return the structured log."""
    from aws_lambda_powertools import Logger

    # What logging says of a line that it cannot write quotes the error being handled, secrets too.
    logging.raiseExceptions = False
    # Without "location": it would always name the event_log. Every level: the event_log chooses.
    return Logger(level="DEBUG", utc=True, use_rfc3339=True, location=None)


@cache
def event_log() -> StructuredEventLog:
    """Return the event_log of what happened."""
    from dispatcher.adapters.event_log import StructuredEventLog

    least = logging.getLevelNamesMapping().get(_environ().get("POWERTOOLS_LOG_LEVEL", ""))
    return StructuredEventLog(
        logger(), stack=_environ().get("STACK_NAME", "unknown"), least=least or logging.INFO
    )


def reset() -> None:
    """Forget everything that was made: the next call reads the environment anew (for tests)."""
    from dispatcher.adapters.aws import client

    for made in (
        client, authentication, defaults, configurations, acceptance, intake, history, mailbox,
        rounds, worker, sweeper, health, clock, logger, event_log,
        _environ, _system_defaults, _overrides, _deliveries, _doorbells, _vault, _outcomes,
        _id_generator, _channel,
    ):  # fmt: skip
        made.cache_clear()


# What use cases stand on --------------------------------------------------------------------------


class _Shared(TypedDict):
    """What every use case stands on that moves deliveries."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    retention: float
    overrides: Overrides
    deliveries: Deliveries
    doorbells: SqsDoorbells
    clock: SystemClock
    id_generator: SystemIdGenerator
    event_log: StructuredEventLog


def _shared() -> _Shared:
    return {
        "environ": _environ(),
        "system_defaults": _system_defaults,
        "retention": _retention(),
        "overrides": _overrides(),
        "deliveries": _deliveries(),
        "doorbells": _doorbells(),
        "clock": clock(),
        "id_generator": _id_generator(),
        "event_log": event_log(),
    }


def _tokens() -> Callable[[], Tokens] | None:
    if not _environ().get("OIDC_ISSUER"):
        return None
    uri = _needed("OIDC_JWKS_URI")
    # The tests' own issuer: it is on this machine, where nobody is in between.
    here = _environ().get("STAGE") == "local" and re.match(r"http://127\.0\.0\.1:\d+/", uri)
    if not (uri.startswith("https://") or here):
        raise BrokenSettingError("OIDC_JWKS_URI", "must begin with https://")
    issuer, audience = _needed("OIDC_ISSUER"), _needed("OIDC_AUDIENCE")

    @cache
    def made() -> Tokens:
        from dispatcher.adapters.oidc import OidcTokens

        return OidcTokens(issuer=issuer, audience=audience, jwks_uri=uri, clock=clock())

    return made


def _api_keys() -> Callable[[], ApiKeys] | None:
    name = _environ().get("API_KEYS_SECRET")
    if not name:
        return None

    @cache
    def made() -> ApiKeys:
        from dispatcher.adapters.api_keys import SecretApiKeys
        from dispatcher.adapters.aws import client

        return SecretApiKeys(lambda: client("secretsmanager"), name, clock())

    return made


@cache
def _overrides() -> Overrides:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.overrides import OverrideTable

    return OverrideTable(client("dynamodb"), _needed("OVERRIDES_TABLE"))


@cache
def _deliveries() -> Deliveries:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.dynamodb import DeliveryTable

    return DeliveryTable(
        client("dynamodb"), _needed("DELIVERIES_TABLE"), token=_id_generator().token
    )


@cache
def _doorbells() -> SqsDoorbells:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.sqs import Queues, SqsDoorbells

    queues = Queues(
        delivery=_needed("DELIVERY_QUEUE_URL"),
        retry=_needed("RETRY_QUEUE_URL"),
        dead_letter=_needed("DEAD_LETTER_QUEUE_URL"),
        parked=_needed("PARKED_QUEUE_URL"),
    )
    return SqsDoorbells(client("sqs"), queues)


@cache
def _outcomes() -> Outcomes | None:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.eventbridge import EventBridgePublisher

    bus = _environ().get("OUTCOME_BUS_NAME")
    # Two tries: it is a hint, and a worker has better things to do than to insist on it.
    return EventBridgePublisher(client("events", tries=2), bus) if bus else None


@cache
def _vault() -> Vault:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.kms import KmsVault

    return KmsVault(lambda: client("kms"), _needed("KEY_ARN"))


@cache
def _id_generator() -> SystemIdGenerator:
    from dispatcher.adapters.system import SystemIdGenerator

    return SystemIdGenerator()


@cache
def _channel(integration_type: str) -> Channel:
    from dispatcher.adapters.aws import client

    # One try: the delivery's own retry is the only one, or lost answers would double messages.
    made: Channel = _module(integration_type).channel(_environ(), partial(client, tries=1))
    return made


def _peer(integration_type: str) -> Callable[[], None] | None:
    from dispatcher.adapters.aws import client

    probe = getattr(_module(integration_type), "probe", None)
    return probe and partial(probe, _environ(), partial(client, tries=1))


def _module(integration_type: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"channels.{integration_type.lower()}")


# Settings -----------------------------------------------------------------------------------------


def docs_are_public() -> bool:
    """Tell whether anybody may read what the API is."""
    return _needed("PUBLIC_DOCS") == "true"


@cache
def _environ() -> Mapping[str, str]:
    # Read once: os.environ decodes each value at every look, and a resolution looks at dozens.
    return dict(os.environ)


@cache
def _system_defaults() -> SystemDefaults:
    from dispatcher.configuration.resolution import system_defaults

    return system_defaults(_environ())


def _needed(variable: str) -> str:
    value = _environ().get(variable, "")
    if not value:
        raise BrokenSettingError(variable, "is not set: the template sets it for every function")
    return value


def _retention() -> float:
    days = _needed("RETENTION_DAYS")
    if not (days.isascii() and days.isdigit() and 1 <= int(days) <= 3650):
        raise BrokenSettingError(
            "RETENTION_DAYS", f"is {days!r}: set it to a whole number of days from 1 to 3650"
        )
    return int(days) * DAY
