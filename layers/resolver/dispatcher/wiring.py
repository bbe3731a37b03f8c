"""The composition root: the only module that connects adapters with ports.

Each function builds one use case on first use and keeps it for the life of the container. Imports
are inside the functions, so that a handler loads only the modules that its route uses.
"""

from __future__ import annotations

import gc
import logging
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from dispatcher.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from aws_lambda_powertools import Logger

    from dispatcher.access.authentication import Authentication, Open
    from dispatcher.access.links import Links
    from dispatcher.access.ports import ApiKeys, Tokens
    from dispatcher.access.sessions import Sessions
    from dispatcher.adapters.dynamodb import DeliveryTable
    from dispatcher.adapters.event_log import StructuredEventLog
    from dispatcher.adapters.eventbridge import EventBridgePublisher
    from dispatcher.adapters.probes import LiveProbes
    from dispatcher.adapters.sqs import SqsDoorbells
    from dispatcher.adapters.system import SystemClock, SystemIdGenerator
    from dispatcher.configuration.categories import Categories, PolicyCache
    from dispatcher.configuration.health import Health
    from dispatcher.configuration.health_changes import HealthChanges
    from dispatcher.configuration.overrides import Configurations, Defaults
    from dispatcher.configuration.overview import Overview
    from dispatcher.configuration.ports import Overrides, Policies, Vault
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.suppressions import Suppressions
    from dispatcher.configuration.unsubscribing import Unsubscribing
    from dispatcher.configuration.user_preferences import UserPreferences
    from dispatcher.connections import KeptConnections
    from dispatcher.delivery.feedback import Feedback
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.mail_links import MailLinkWriter
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.ports import Channel
    from dispatcher.delivery.recover import Recovery
    from dispatcher.delivery.redrive import Rounds
    from dispatcher.delivery.replan import Replanner
    from dispatcher.delivery.sweeper import Sweeper
    from dispatcher.delivery.worker import Worker
    from dispatcher.messages.acceptance import Acceptance
    from dispatcher.messages.history import History
    from dispatcher.messages.intake import Intake
    from dispatcher.messages.mailbox import Mailbox
    from dispatcher.messages.planning import Planner
    from dispatcher.messages.preview import Preview
    from dispatcher.messages.requests import Requests
    from dispatcher.settings import Oidc

# With the default threshold (700), garbage collection rescans freshly imported objects, which took
# 1/6 of a cold start although hardly any of them is garbage.
gc.set_threshold(200_000)


# Use cases of handlers ----------------------------------------------------------------------------


@cache
def authentication() -> Authentication | Open:
    """Return the authentication of callers."""
    from dispatcher.access.authentication import Authentication, Open

    auth = settings().auth
    if auth is None:
        return Open(sessions)
    return Authentication(
        tokens=_tokens(auth.oidc) if auth.oidc else None,
        keys=_api_keys(auth.api_keys_secret) if auth.api_keys_secret else None,
        sessions=sessions,
        user_claim=auth.user_claim,
        clock=clock(),
    )


@cache
def sessions() -> Sessions:
    """Return what makes links to preferences, and starts and verifies their sessions."""
    from dispatcher.access.sessions import Sessions

    return Sessions(links=links(), clock=clock())


@cache
def defaults() -> Defaults:
    """Return the use case that shows the system's defaults."""
    from dispatcher.configuration.overrides import Defaults

    return Defaults(system_defaults=system_defaults)


@cache
def configurations() -> Configurations:
    """Return the use cases of overrides and effective configurations."""
    from dispatcher.configuration.overrides import Configurations

    return Configurations(
        environ=settings().environ,
        system_defaults=system_defaults,
        overrides=_overrides(),
        vault=_vault(),
        clock=clock(),
        id_generator=_id_generator(),
        policies=_policy_cache,
        changes=_health_changes(),
        replanner=replanner,
    )


@cache
def categories() -> Categories:
    """Return the use cases of categories."""
    from dispatcher.configuration.categories import Categories

    return Categories(
        policies=_policies(),
        id_generator=_id_generator(),
        environ=settings().environ,
        event_log=event_log(),
    )


@cache
def preferences() -> UserPreferences:
    """Return the use cases of preferences."""
    from dispatcher.configuration.user_preferences import UserPreferences

    return UserPreferences(
        environ=settings().environ,
        system_defaults=system_defaults,
        overrides=_overrides(),
        policies=_policy_cache(),
        replanner=replanner,
        default_time_zone=settings().default_time_zone,
        clock=clock(),
        id_generator=_id_generator(),
        event_log=event_log(),
        publisher=_publisher(),
    )


@cache
def suppressions() -> Suppressions:
    """Return the use cases of suppressed addresses."""
    from dispatcher.configuration.suppressions import Suppressions

    return Suppressions(overrides=_overrides(), clock=clock(), id_generator=_id_generator())


@cache
def links() -> Links:
    """Return what signs and verifies the tokens of links."""
    from dispatcher.access.links import Links
    from dispatcher.adapters.link_keys import SecretLinkKeys

    keys = SecretLinkKeys(lambda: _client("secretsmanager"), settings().links_secret, clock())
    return Links(keys, clock())


@cache
def unsubscribing() -> Unsubscribing:
    """Return what ends a category by email."""
    from dispatcher.configuration.unsubscribing import Unsubscribing

    return Unsubscribing(policies=_policy_cache(), preferences=preferences, event_log=event_log())


@cache
def acceptance() -> Acceptance:
    """Return the use case that accepts messages."""
    from dispatcher.messages.acceptance import Acceptance

    return Acceptance(
        context=_delivery_context(accepts=True),
        requests=_delivery_table(),
        planner=_planner(),
        holds=_holds(accepts=True),
    )


@cache
def preview() -> Preview:
    """Return the use case that previews a message."""
    from dispatcher.messages.preview import Preview

    return Preview(planner=_planner(), clock=clock())


@cache
def replanner() -> Replanner:
    """Return the use case that moves held deliveries when preferences change."""
    from concurrent.futures import ThreadPoolExecutor

    from dispatcher.delivery.replan import AT_ONCE, Replanner

    each = ThreadPoolExecutor(AT_ONCE).map
    return Replanner(context=_delivery_context(), holds=_holds(), each=each)


@cache
def intake() -> Intake:
    """Return the use case that accepts events."""
    from dispatcher.messages.intake import Intake

    return Intake(acceptance=acceptance(), doorbells=_doorbells(), event_log=event_log())


@cache
def feedback() -> Feedback:
    """Return the use case that applies the reports of providers."""
    from dispatcher.delivery.feedback import Feedback

    return Feedback(
        context=_delivery_context(outcomes=True),
        holds=_holds(),
        suppressions=suppressions(),
        stack=settings().stack,
    )


@cache
def requests() -> Requests:
    """Return the use case that reads requests."""
    from dispatcher.messages.requests import Requests

    return Requests(store=_delivery_table(), clock=clock())


@cache
def history() -> History:
    """Return the use case that reads deliveries."""
    from dispatcher.messages.history import History

    return History(store=_delivery_table(), clock=clock())


@cache
def mailbox() -> Mailbox:
    """Return the use case that reads mailboxes."""
    from dispatcher.messages.mailbox import Mailbox

    return Mailbox(store=_delivery_table(), clock=clock())


@cache
def rounds() -> Rounds:
    """Return the use case that starts new rounds and cancels deliveries."""
    from dispatcher.delivery.redrive import Rounds

    return Rounds(
        context=_delivery_context(outcomes=True),
        system_defaults=system_defaults,
        holds=_holds(),
        environ=settings().environ,
    )


@cache
def recovery() -> Recovery:
    """Return the use case that opens failed deliveries again, page by page."""
    from concurrent.futures import ThreadPoolExecutor

    from dispatcher.delivery.recover import Recovery
    from dispatcher.delivery.replan import AT_ONCE

    return Recovery(
        context=_delivery_context(),
        system_defaults=system_defaults,
        holds=_holds(),
        categories=_policy_cache(),
        environ=settings().environ,
        each=ThreadPoolExecutor(AT_ONCE).map,
    )


@cache
def worker() -> Worker:
    """Return the worker, which handles doorbells."""
    from dispatcher.adapters.system import ThreadWatchdog
    from dispatcher.configuration.receiver_health import PauseRules
    from dispatcher.delivery.prepare import MessageBuilder
    from dispatcher.delivery.receivers import Receivers
    from dispatcher.delivery.worker import Worker

    return Worker(
        context=_delivery_context(outcomes=True),
        builder=MessageBuilder(
            environ=settings().environ,
            system_defaults=system_defaults,
            overrides=_overrides(),
            vault=_vault(),
            clock=clock(),
            categories=_policy_cache(),
            holds=_holds(),
            mail_links=_mail_links,
        ),
        channels=_channel,
        rounds=rounds(),
        watchdog=ThreadWatchdog(),
        suppressions=suppressions(),
        receivers=Receivers(
            overrides=_overrides(),
            rules=PauseRules.parse(settings().pause_rules),
            clock=clock(),
            id_generator=_id_generator(),
            changes=_health_changes(),
            replanner=replanner(),
        ),
    )


@cache
def sweeper() -> Sweeper:
    """Return the sweeper, which rings for overdue rows."""
    from dispatcher.delivery.sweeper import Sweeper

    return Sweeper(context=_delivery_context())


@cache
def health() -> Health:
    """Return the use case that reports the service's health."""
    from dispatcher.configuration.health import Health

    return Health(
        system_defaults=system_defaults,
        service=settings().service,
        probes=_probes,
        clock=clock(),
    )


@cache
def overview() -> Overview:
    """Return the use case that reads the overview."""
    from concurrent.futures import ThreadPoolExecutor

    from dispatcher.adapters.numbers import AwsNumbers
    from dispatcher.configuration.overview import Overview

    queues = {
        "delivery": settings().delivery_queue_url,
        "retry": settings().retry_queue_url,
        "dead_letter": settings().dead_letter_queue_url,
        "intake": settings().intake_queue_url,
        "parked": settings().parked_queue_url,
        "feedback": settings().feedback_queue_url,
    }
    threads = ThreadPoolExecutor(len(queues) + 1)
    return Overview(
        stage=settings().stage,
        queues=queues,
        has_metrics=settings().stage != "local",
        numbers=AwsNumbers(_client("sqs"), _client("cloudwatch"), settings().stack),
        side_by_side=lambda reads: [*threads.map(lambda read: read(), reads)],
        clock=clock(),
    )


@cache
def system_defaults() -> SystemDefaults:
    """Return the defaults of all integrations; raise ``BrokenSettingError`` for an invalid one."""
    from dispatcher.configuration import resolution

    return resolution.system_defaults(settings().environ)


@cache
def clock() -> SystemClock:
    """Return the time."""
    from dispatcher.adapters.system import SystemClock

    return SystemClock()


@cache
def connections() -> KeptConnections:
    """Return the connections that are kept between invocations."""
    from dispatcher.connections import KeptConnections

    return KeptConnections(clock().now)


@cache
def logger() -> Logger:
    """Return the structured log."""
    from aws_lambda_powertools import Logger

    # If logging cannot write a line, its own message quotes the current error, secrets included.
    logging.raiseExceptions = False
    # "location" is omitted, because it would always name event_log. The event log filters levels.
    return Logger(
        service=settings().service, level="DEBUG", utc=True, use_rfc3339=True, location=None
    )


@cache
def event_log() -> StructuredEventLog:
    """Return the event log."""
    from dispatcher.adapters.event_log import StructuredEventLog

    least = logging.getLevelNamesMapping().get(settings().log_level, logging.INFO)
    return StructuredEventLog(logger(), stack=settings().stack, least=least)


def reset() -> None:
    """Discard all use cases, so that the next call reads the environment again (for tests)."""
    from dispatcher.adapters.aws import client

    for function in (
        settings, client, authentication, defaults, configurations, acceptance, intake, requests,
        preview, replanner, history, mailbox, rounds, worker, sweeper, health, clock, connections,
        logger, event_log, _planner, _holds, _policies, _policy_cache, system_defaults, _overrides,
        _delivery_table, _doorbells, _vault, _publisher, _id_generator, _channel, categories,
        preferences, suppressions, feedback, overview, links, sessions, unsubscribing, _mail_links,
        _health_changes, recovery,
    ):  # fmt: skip
        function.cache_clear()


# Dependencies of use cases ------------------------------------------------------------------------


def _delivery_context(*, accepts: bool = False, outcomes: bool = False) -> DeliveryContext:
    from dispatcher.delivery.perform import DeliveryContext

    return DeliveryContext(
        messages=_delivery_table(),
        doorbells=_doorbells(accepts=accepts),
        clock=clock(),
        id_generator=_id_generator(),
        event_log=event_log(),
        retention=settings().retention_seconds,
        publisher=_publisher() if outcomes else None,
    )


@cache
def _planner() -> Planner:
    from dispatcher.messages.planning import Planner

    return Planner(
        overrides=_overrides(),
        categories=_policy_cache(),
        system_defaults=system_defaults,
        environ=settings().environ,
        default_zone=settings().default_time_zone,
        retention=settings().retention_seconds,
        event_log=event_log(),
    )


@cache
def _holds(*, accepts: bool = False) -> Holds:
    from dispatcher.delivery.holds import Holds

    return Holds(
        context=_delivery_context(accepts=accepts),
        overrides=_overrides(),
        default_zone=settings().default_time_zone,
    )


def _tokens(oidc: Oidc) -> Callable[[], Tokens]:
    @cache
    def build_tokens() -> Tokens:
        from dispatcher.adapters.oidc import OidcTokens

        return OidcTokens(
            issuer=oidc.issuer, audience=oidc.audience, jwks_uri=oidc.jwks_uri, clock=clock()
        )

    return build_tokens


def _api_keys(secret: str) -> Callable[[], ApiKeys]:
    @cache
    def build_api_keys() -> ApiKeys:
        from dispatcher.adapters.api_keys import SecretApiKeys

        return SecretApiKeys(lambda: _client("secretsmanager"), secret, clock())

    return build_api_keys


@cache
def _mail_links() -> MailLinkWriter:
    from dispatcher.delivery.mail_links import MailLinkWriter

    return MailLinkWriter(
        sign=links().sign,
        public_url=settings().public_url,
        preferences_page=settings().preferences_page,
        console=settings().has_console,
        footer=settings().mails_have_footers,
    )


def _client(service: str, tries: int = 3) -> Any:  # noqa: ANN401 - each adapter names what it takes
    from dispatcher.adapters.aws import client

    made = client(service, tries)
    connections().add(made.close)
    return made


@cache
def _overrides() -> Overrides:
    from dispatcher.adapters.overrides import OverrideTable

    return OverrideTable(_client("dynamodb"), settings().overrides_table)


@cache
def _policies() -> Policies:
    from dispatcher.adapters.aws import client
    from dispatcher.adapters.overrides import PolicyTable

    return PolicyTable(client("dynamodb"), settings().overrides_table)


@cache
def _policy_cache() -> PolicyCache:
    from dispatcher.configuration.categories import PolicyCache

    return PolicyCache(_policies(), clock().monotonic)


@cache
def _delivery_table() -> DeliveryTable:
    from dispatcher.adapters.dynamodb import DeliveryTable

    return DeliveryTable(
        _client("dynamodb"), settings().deliveries_table, settings().overrides_table
    )


@cache
def _doorbells(*, accepts: bool = False) -> SqsDoorbells:
    from dispatcher.adapters.sqs import Queues, SqsDoorbells

    queues = Queues(
        # Functions that accept no messages never ring there, and do not have the variable.
        delivery=settings().delivery_queue_url if accepts else "",
        retry=settings().retry_queue_url,
        dead_letter=settings().dead_letter_queue_url,
        parked=settings().parked_queue_url,
    )
    return SqsDoorbells(_client("sqs"), queues)


@cache
def _publisher() -> EventBridgePublisher | None:
    from dispatcher.adapters.eventbridge import EventBridgePublisher

    bus = settings().outcome_bus
    # Two calls at most: the event is a hint, and a worker should not wait for it.
    return EventBridgePublisher(_client("events", tries=2), bus) if bus else None


@cache
def _health_changes() -> HealthChanges:
    from dispatcher.configuration.health_changes import HealthChanges

    return HealthChanges(event_log=event_log(), publisher=_publisher())


@cache
def _vault() -> Vault:
    from dispatcher.adapters.kms import KmsVault

    return KmsVault(lambda: _client("kms"), settings().key_arn)


@cache
def _id_generator() -> SystemIdGenerator:
    from dispatcher.adapters.system import SystemIdGenerator

    return SystemIdGenerator()


@cache
def _channel(integration_type: str) -> Channel:

    # One call: only the delivery retries, because a retry of the SDK could duplicate messages.
    channel: Channel = _module(integration_type).channel(
        settings().environ, partial(_client, tries=1)
    )
    return channel


def _probes() -> LiveProbes:
    from dispatcher.adapters.probes import LiveProbes

    queues = {
        "DeliveryQueue": settings().delivery_queue_url,
        "RetryQueue": settings().retry_queue_url,
        "DeadLetterQueue": settings().dead_letter_queue_url,
        "ParkedQueue": settings().parked_queue_url,
        "IntakeQueue": settings().intake_queue_url,
    }
    if feedback_queue_url := settings().feedback_queue_url:
        queues["FeedbackQueue"] = feedback_queue_url
    return LiveProbes(
        _client("dynamodb"),
        _client("sqs"),
        overrides=settings().overrides_table,
        deliveries=settings().deliveries_table,
        queues=queues,
        peer=_peer,
    )


def _peer(integration_type: str) -> Callable[[], None] | None:

    probe = getattr(_module(integration_type), "probe", None)
    return probe and partial(probe, settings().environ, partial(_client, tries=1))


def _module(integration_type: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"channels.{integration_type.lower()}")
