"""The main job, told as it happens: `make demo`.

Starts a Slack workspace and a mail server on loopback, has the service run with them, and plays as
a user who has just arrived, so it can be repeated. Every step is checked; the first that comes out
differently ends it with exit code 1. Another part of the demo is another function in ``SCENES``.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from dispatcher.integrations import catalogue
from tools.cloud import chosen_cloud
from tools.demo_context import DemoContext, Json, log_of, signature_fault
from tools.demo_servers import FakeServers, Ports, keep_secret, merged, workspace
from tools.demo_seven import SEVEN, play_seven, restricted
from tools.failure import ToolFailure
from tools.fake_servers.smtp_server import FakeSmtpServer
from tools.local_cloud import settle
from tools.narrator import CheckFailedError, Narrator, terminal
from tools.parameters import parse
from tools.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TYPES = set(catalogue())

REFUSALS = 2
RETRY_COUNT = 3
RETRY_DELAY = 2
"""Seconds: long enough to be seen, short enough to be waited for."""

HEALTH_KEPT = 65
"""Seconds after which /health has looked again, a call included."""

MILLISECOND = 0.001
"""The history keeps milliseconds: two rounded times can be this far off."""

EMAIL = {
    "integration_type": "EMAIL",
    "enabled": True,
    "config": {"email_address": "john.doe@company.com", "format": "html"},
    "priority": 1,
    "retry_count": 5,
    "retry_delay_seconds": 30,
}

TOKEN = "only-the-receiver-may-read-this"  # noqa: S105 - the demo's own, sent to loopback


def wake(context: DemoContext) -> None:
    """Let the functions start side by side: after a pause each one's first call takes a second.

    None of these requests changes anything: they read, or are refused.
    """
    user, nobody = context.user, "00000000-0000-7000-8000-000000000000"
    harmless: tuple[tuple[str, str], ...] = (
        ("GET", "/health"),
        ("GET", "/api/v1/integration-defaults"),
        ("GET", f"{user}/integration-defaults"),
        ("POST", f"{user}/integration-defaults/reset"),
        ("POST", f"{user}/integrations"),
        ("GET", f"{user}/integrations/WEBHOOK"),
        ("POST", f"{user}/deliveries"),
        ("GET", f"{user}/deliveries"),
        ("GET", f"{user}/deliveries/{nobody}"),
    )
    with (
        context.narrator.waiting("waking the functions", len(harmless)) as show,
        ThreadPoolExecutor(len(harmless)) as pool,
    ):
        calls = [pool.submit(context.reach, method, path, {}) for method, path in harmless]
        # What does not answer is told by the first scene that needs it.
        for done, _ in enumerate(as_completed(calls), start=1):
            show(done, "waking the functions")


# Scenes -------------------------------------------------------------------------------------------


def show_defaults(context: DemoContext) -> None:
    """Show what the system does for everybody."""
    narrator, log = context.narrator, "get_integration_defaults"
    narrator.shows("GET /api/v1/integration-defaults")
    defaults = context.ask("GET", "/api/v1/integration-defaults", log=log)[0][
        "default_integrations"
    ]
    narrator.rows(
        ("integration", "enabled", "priority", "retries", "delay"),
        [
            (
                name,
                "yes" if one["enabled"] else "no",
                one["priority"],
                one["retry_count"],
                f"{one['retry_delay_seconds']} s",
            )
            for name, one in defaults.items()
        ],
    )
    narrator.check(
        "all integrations have a default", came=set(defaults), expected=TYPES, log=log_of(log)
    )
    priorities = [one["priority"] for one in defaults.values()]
    narrator.check(
        "they stand in delivery order: priority 1 first",
        came=priorities,
        expected=sorted(priorities),
        log=log_of(log),
    )


def resolve_lazy_user(context: DemoContext) -> None:
    """Resolve a user of whom nothing is stored, and prove that it stays so."""
    narrator, log = context.narrator, "get_effective_configuration"
    narrator.shows(f"GET {context.user}/integration-defaults")
    context.before = context.ask("GET", f"{context.user}/integration-defaults", log=log)[0]
    tell_effective(narrator, context.before)
    narrator.check(
        "the user has the defaults",
        came=(context.before["user_overrides"], context.before["using_integration_defaults"]),
        expected=({}, True),
        log=log_of(log),
    )
    narrator.check(
        "every integration is either used or has a reason why not",
        came={*context.before["effective_configs"], *context.before["disabled_integrations"]},
        expected=TYPES,
        log=log_of(log),
    )
    narrator.check(
        "nothing is stored: the table has no row for the user",
        came=context.stored_row(),
        expected=None,
        log=log_of(log),
    )


def create_overrides(context: DemoContext) -> None:
    """Set what this user wants different: e-mail first, and a webhook of their own."""
    narrator, log = context.narrator, "create_override"
    narrator.shows(f"POST {context.user}/integrations   EMAIL: priority 1, 5 retries")
    context.ask("POST", f"{context.user}/integrations", EMAIL, status=201, log=log)
    url = f"{context.receiver.url}/hooks?token={TOKEN}"
    webhook: Json = {
        "integration_type": "WEBHOOK",
        "config": {"url": url, "headers": {"Authorization": f"Bearer {TOKEN}"}},
        "retry_count": RETRY_COUNT,
        "retry_delay_seconds": RETRY_DELAY,
    }
    narrator.shows(
        f"POST {context.user}/integrations   WEBHOOK: {RETRY_COUNT} retries, {RETRY_DELAY} s apart"
    )
    created, _ = context.ask("POST", f"{context.user}/integrations", webhook, status=201, log=log)
    context.signing_secret = created.get("signing_secret", "")
    narrator.says(f"signing secret, shown this once: {context.signing_secret[:12]}…")
    narrator.check(
        "a new webhook comes with a secret to verify its signatures",
        came=context.signing_secret[:6],
        expected="whsec_",
        log=log_of(log),
    )
    read, _ = context.ask("GET", f"{context.user}/integrations/WEBHOOK", log="get_override")
    narrator.says(f"read back: {json.dumps(read['config'])}")
    narrator.check(
        "what is secret in it is never shown again",
        came=(read["config"], "signing_secret" in read),
        expected=(
            {
                "url": f"{context.receiver.url}/hooks?token=***",
                "headers": {"Authorization": "***"},
            },
            False,
        ),
        log=log_of("get_override"),
    )
    row = context.stored_row() or {}
    narrator.check(
        "nor is it stored in the clear",
        came=(set(row) & TYPES, TOKEN in repr(row), context.signing_secret in repr(row)),
        expected=({"EMAIL", "WEBHOOK"}, False, False),
        log=log_of(log),
    )
    log = "get_effective_configuration"
    context.effective, _ = context.ask("GET", f"{context.user}/integration-defaults", log=log)
    tell_effective(narrator, context.effective)
    narrator.check(
        "both are used now, beside all that was used before",
        came=set(context.effective["effective_configs"]),
        expected={*context.before["effective_configs"], "EMAIL", "WEBHOOK"},
        log=log_of(log),
    )


def send_message(context: DemoContext) -> None:
    """Send a message; the receiver refuses it twice."""
    narrator, log = context.narrator, "send_message"
    body: Json = {
        "request_id": f"report-{context.user_id}",
        "agent_id": "demo",
        "subject": "Your report",
        "content": "Hello $name, your report is **ready**.",
        "template_variables": {"name": "John"},
        **restricted(context.effective),
    }
    narrator.shows(f"POST {context.user}/deliveries   {body['content']}")
    context.sent, _ = context.ask("POST", f"{context.user}/deliveries", body, status=202, log=log)
    used = [name for name in context.effective["effective_configs"] if name in SEVEN]
    narrator.check(
        "accepted: a delivery for each integration in use, in priority order",
        came=[one["integration_type"] for one in context.sent["deliveries"]],
        expected=[name for name in used if name != "SLACK"],
        log=log_of(log),
    )
    narrator.check(
        "but for SLACK, and it says why: nobody told it where to find this user",
        came=[one["reason"] for one in context.sent["skipped"] if one["integration_type"] in used],
        expected=["no_address"],
        log=log_of(log),
    )
    again, headers = context.ask("POST", f"{context.user}/deliveries", body, status=202, log=log)
    narrator.check(
        "the same request again gets the same answer and sends nothing twice",
        came=(again, headers.get("Idempotency-Replayed")),
        expected=(context.sent, "true"),
        log=log_of(log),
    )
    wait_for_deliveries(context)
    check_arrivals(context)


def wait_for_deliveries(context: DemoContext) -> None:
    """Watch receiver and history until every delivery has ended."""
    told, began = 0, time.monotonic()

    def tell(_: Sequence[Json]) -> None:
        nonlocal told
        for arrival in context.receiver.arrivals[told:]:
            told += 1
            context.narrator.says(
                f"{max(0.0, arrival.arrived_at - began):6.2f} s  "
                f"the receiver gets try {told} and answers {arrival.status}"
            )

    context.await_deliveries("delivering, and trying again", tell)


def check_arrivals(context: DemoContext) -> None:
    """Hold what the receiver got to what Standard Webhooks promise."""
    narrator, log = context.narrator, log_of("deliver_messages")
    arrivals = context.receiver.arrivals
    narrator.check(
        "refused twice, then taken",
        came=[arrival.status for arrival in arrivals],
        expected=[503] * REFUSALS + [200],
        log=log,
    )
    narrator.check(
        "each try carries the delivery's id as its webhook-id: the receiver can tell repeats",
        came=[arrival.message_id for arrival in arrivals],
        expected=[webhook_delivery(context)] * len(arrivals),
        log=log,
    )
    narrator.check(
        "each signature verifies with the user's secret",
        came=[signature_fault(arrival, context.signing_secret) for arrival in arrivals],
        expected=[None] * len(arrivals),
        log=log,
    )
    last = arrivals[-1]
    content = json.loads(last.body)["data"]["content"]
    narrator.check(
        "the text arrived with its variables filled in, the secret header with its value",
        came=(content, last.headers.get("authorization"), last.path),
        expected=(
            "Hello John, your report is **ready**.",
            f"Bearer {TOKEN}",
            f"/hooks?token={TOKEN}",
        ),
        log=log,
    )


def show_history(context: DemoContext) -> None:
    """Show the attempts, the waits between them, and how every delivery ended."""
    narrator, log = context.narrator, log_of("deliver_messages")
    path = f"{context.user}/deliveries/{webhook_delivery(context)}"
    narrator.shows(f"GET {path}")
    detail, _ = context.ask("GET", path, log="get_delivery")
    waits = waits_between(detail["attempt_log"])
    narrator.rows(
        ("try", "at (UTC)", "took", "outcome", "detail", "waited before"),
        [
            (
                entry["number"],
                entry["started_at"][11:23],
                f"{entry['duration_ms']} ms",
                entry["outcome"],
                entry["detail"] or entry["code"] or "",
                "" if wait is None else f"{wait:.2f} s (set: {RETRY_DELAY} s)",
            )
            for entry, wait in zip(detail["attempt_log"], [None, *waits], strict=True)
        ],
    )
    narrator.check(
        f"three of at most {1 + RETRY_COUNT} tries were needed",
        came=(detail["status"], detail["attempts"], detail["max_attempts"]),
        expected=("success", REFUSALS + 1, 1 + RETRY_COUNT),
        log=log,
    )
    seen = [
        later.arrived_at - earlier.answered_at
        for earlier, later in pairwise(context.receiver.arrivals)
    ]
    narrator.check(
        "never early: each wait is at least the user's delay, by the log and by the receiver",
        came=f"{[round(wait, 3) for wait in waits]} and {[round(wait, 3) for wait in seen]} s",
        expected=f"at least {RETRY_DELAY} s each",
        log=log,
        holds=never_early([*waits, *seen], RETRY_DELAY),
    )
    narrator.shows(f"GET {context.user}/deliveries")
    deliveries = context.history()
    narrator.rows(
        ("integration", "status", "tries", "why"),
        [
            (
                one["integration_type"],
                one["status"],
                f"{one['attempts']} of {one['max_attempts']}",
                one["error_message"] or "",
            )
            for one in deliveries
        ],
    )
    narrator.check(
        "delivered by all, and none waited for the webhook",
        came={one["integration_type"]: one["error_code"] or one["status"] for one in deliveries},
        expected={one["integration_type"]: "success" for one in context.sent["deliveries"]},
        log=log,
    )


def show_health(context: DemoContext) -> None:
    """Show the service health, and that the fake servers were probed."""
    narrator = context.narrator
    narrator.shows("GET /health")
    health = fresh_health(context)
    narrator.says(f"{health['service']} {health['version']} is {health['status']}")
    integrations: Json = health["integrations"]
    healthy = {True: "yes", False: "no", None: "-"}
    narrator.rows(
        ("integration", "configured", "healthy", ""),
        [
            (name, "yes" if one["configured"] else "no", healthy[one["healthy"]], one["detail"])
            for name, one in integrations.items()
        ],
    )
    narrator.check(
        "tables, queues and receivers respond",
        came=(health["status"], health["detail"]),
        expected=("healthy", None),
        log=log_of("get_health"),
    )
    narrator.check(
        "all seven are configured, and none whose receiver was probed is unhealthy",
        came={
            name: (one["configured"], one["healthy"] is not False)
            for name, one in integrations.items()
            if name in SEVEN
        },
        expected=dict.fromkeys(SEVEN, (True, True)),
        log=log_of("get_health"),
    )
    narrator.check(
        "the Slack and the mail server were probed",
        came={name for name in SEVEN if integrations[name]["healthy"]},
        expected={"SLACK", "EMAIL"},
        log=log_of("get_health"),
    )


def fresh_health(context: DemoContext) -> Json:
    """Return the health; an outcome from before the fake servers ran is cached for a minute."""
    until, began = time.monotonic() + HEALTH_KEPT, time.monotonic()
    health, _ = context.ask("GET", "/health", log="get_health")
    if health["status"] == "healthy":
        return health
    with context.narrator.waiting(
        "probed before the servers ran; it probes again", HEALTH_KEPT
    ) as show:
        while health["status"] != "healthy" and time.monotonic() < until:
            time.sleep(1)
            show(int(time.monotonic() - began), f"{health['status']}: {health['detail']}")
            health, _ = context.ask("GET", "/health", log="get_health")
    return health


def reset_user(context: DemoContext) -> None:
    """Give the user back to the defaults."""
    narrator, log = context.narrator, "reset_overrides"
    narrator.shows(f"POST {context.user}/integration-defaults/reset")
    answer, _ = context.ask("POST", f"{context.user}/integration-defaults/reset", log=log)
    narrator.check(
        "both overrides are gone",
        came=answer["removed"],
        expected=["EMAIL", "WEBHOOK"],
        log=log_of(log),
    )
    after, _ = context.ask(
        "GET", f"{context.user}/integration-defaults", log="get_effective_configuration"
    )
    narrator.check(
        "the user is as in the beginning",
        came=after,
        expected=context.before,
        log=log_of("get_effective_configuration"),
    )
    narrator.check(
        "nothing is stored: the table has no row for the user",
        came=context.stored_row(),
        expected=None,
        log=log_of(log),
    )
    narrator.check(
        "the history stays",
        came=len(context.history()),
        expected=len(context.sent["deliveries"]),
        log=log_of("list_deliveries"),
    )


class Scene(NamedTuple):
    """One part of the demo."""

    title: str
    play: Callable[[DemoContext], None]


SCENES = (
    Scene("System defaults", show_defaults),
    Scene("Effective configuration of a user without overrides", resolve_lazy_user),
    Scene("Overrides", create_overrides),
    Scene("Send a message to a receiver that refuses it twice", send_message),
    Scene("Delivery history", show_history),
    Scene("Send one message over all seven integrations", play_seven),
    Scene("Service health", show_health),
    Scene("Reset to the defaults", reset_user),
)


# Parts --------------------------------------------------------------------------------------------


def tell_effective(narrator: Narrator, resolved: Json) -> None:
    """Say by which integrations a message would go, and why by no other."""
    used = [
        f"{name} (priority {one['priority']})"
        for name, one in resolved["effective_configs"].items()
    ]
    unused: dict[str, list[str]] = {}
    for name, reason in resolved["disabled_integrations"].items():
        unused.setdefault(reason, []).append(name)
    reasons = [f"{', '.join(names)} ({reason})" for reason, names in unused.items()]
    narrator.says(f"a message would go by {', '.join(used) or 'nothing'}")
    narrator.says(f"and not by {'; '.join(reasons) or 'nothing'}")


def webhook_delivery(context: DemoContext) -> str:
    """Return the id of the message's WEBHOOK delivery."""
    ids = {one["integration_type"]: one["delivery_id"] for one in context.sent["deliveries"]}
    return str(ids["WEBHOOK"])


def waits_between(attempts: Sequence[Json]) -> list[float]:
    """Return the seconds from the end of each attempt to the start of the next."""
    times = [
        (datetime.fromisoformat(one["started_at"]).timestamp(), one["duration_ms"] / 1000)
        for one in attempts
    ]
    return [later - (start + took) for (start, took), (later, _) in pairwise(times)]


def never_early(waits: Sequence[float], delay: float) -> bool:
    """Tell whether no wait was shorter than the delay."""
    return all(wait >= delay - 2 * MILLISECOND for wait in waits)


def play(stack: Mapping[str, str], narrator: Narrator, fake_servers: FakeServers) -> None:
    """Play all scenes for a user who has just arrived."""
    began = time.monotonic()
    with Receiver(refusals=REFUSALS) as receiver:
        user_id = f"demo-{secrets.token_hex(4)}"
        context = DemoContext(stack, narrator, receiver, user_id, fake_servers)
        narrator.says(
            f"The service at {stack['api_url']}, and {context.user_id}, who is new to it."
        )
        wake(context)
        for scene in SCENES:
            narrator.scene(scene.title)
            perform(scene, context)
    narrator.ends(
        f"All {narrator.checks} checks came out right, in {time.monotonic() - began:.1f} s."
    )
    narrator.says(f"Look yourself: curl {stack['api_url']}{context.user}/deliveries")
    narrator.says("What else it does, as commands to try: README.md")
    narrator.says("Slack and the mail server end with the demo; make up goes on without them.")


def perform(scene: Scene, context: DemoContext) -> None:
    """Play one scene; an answer that it cannot even read is a failed check too."""
    try:
        scene.play(context)
    except (LookupError, TypeError, ValueError, BotoCoreError, ClientError) as error:
        raise CheckFailedError(
            "the answers can be read",
            expected="the documented shape",
            came=f"{type(error).__name__}: {error}",
            log=log_of("ERROR"),
        ) from error


def perform_all(narrator: Narrator) -> None:
    """Start fake servers and service, and play; the servers' ports are tried before that."""
    cloud = chosen_cloud()
    ports = Ports.beside(cloud.api_port)
    parameters = merged(ports.parameters(), parse(os.environ.get("PARAMETERS", "")))
    settle(parameters)
    ports.require_free(cloud.api_port)
    with workspace(ports.slack) as slack, FakeSmtpServer(port=ports.smtp) as mail:
        cloud.start()
        keep_secret(cloud.session)
        play(cloud.deploy(parameters), narrator, FakeServers(slack, mail))


def main() -> int:
    """Play; the settings come from the environment, as make hands them on."""
    narrator = Narrator(terminal())
    try:
        perform_all(narrator)
    except CheckFailedError as failed:
        narrator.failed(failed)
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
