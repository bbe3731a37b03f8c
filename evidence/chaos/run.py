"""One run: set up, send under faults, stop the faults, wait until all work is done, audit."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

from dispatcher.adapters.items import mailbox_row, message_row, request_row
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.rows import MAILBOX, MESSAGE, REQUEST
from evidence.chaos import preferences, traffic
from evidence.chaos.audit import Audit
from evidence.chaos.crash_proxy import CrashProxy
from evidence.chaos.faults import Faults
from evidence.chaos.figures import figures
from evidence.chaos.ledger import Ledger
from evidence.chaos.operator import Operator
from evidence.chaos.promises import broken
from evidence.chaos.reaper import Reaper
from evidence.chaos.receivers import Receivers
from evidence.chaos.stores import Stores
from evidence.chaos.workers import Workers
from tools.failure import ToolFailure
from tools.local_cloud import LocalCloud
from tools.processes import LOOPBACK, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run and its time limits."""

    seed: int
    deliveries: int = 2000
    users: int = 50
    most_retries: int = 5
    """The highest ``retry_count`` of a user."""
    pace: float = 9.0
    """Messages a second."""
    callers: int = 8
    """Requests in parallel: each is a separate process in the local cloud."""
    crash_share: float = 0.02
    """The share of messages and deliveries whose process is killed, at each step."""
    linger: float = 75.0
    """Seconds that faults go on after the last message: beyond the end of the first leases."""
    patience: float = 900.0
    """Seconds for everything to end after that."""
    changing: float = 300.0
    """Seconds from the first message in which users change their preferences."""


class Outcome(NamedTuple):
    """All results of a run."""

    broken: dict[str, list[str]]
    """All promises, each with the cases in which it is broken."""
    figures: dict[str, Any]


@dataclass
class ChaosRig:
    """A separate local cloud: functions → crash proxy → cloud, and receivers."""

    home: Path
    seed: int
    crash_share: float

    def __enter__(self) -> Self:
        """Start everything, without faults yet."""
        with ExitStack() as undo:
            proxy_port = free_port()
            self.cloud = LocalCloud(
                self.home,
                api_port=free_port(),
                cloud_port=free_port(),
                functions_endpoint=f"http://{LOOPBACK}:{proxy_port}",
            )
            undo.callback(self.cloud.forget)
            self.cloud.start()
            process = self.cloud.cloud.process()
            if process is None:
                raise ToolFailure(f"The local cloud has ended: {self.cloud.cloud.log}")
            self.faults = Faults(self.seed)
            self.ledger = Ledger()
            self.workers = undo.enter_context(Workers(psutil.Process(process.pid)))
            self.reaper = Reaper(self.workers, self.ledger, self.seed, self.crash_share)
            proxy = CrashProxy(proxy_port, self.cloud.cloud_port, self.faults, self.reaper)
            undo.enter_context(proxy)
            self.receivers = undo.enter_context(Receivers(self.reaper))
            smtp_port = free_port()
            undo.enter_context(preferences.Emails(smtp_port, self.ledger))
            at = {"SmtpHost": LOOPBACK, "SmtpPort": str(smtp_port)}
            self.stack = self.cloud.deploy({**traffic.PARAMETERS, **at})
            self.stores = Stores(self.cloud, self.stack)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything and delete the data; the logs stay."""
        self._undo.close()


def run(
    plan: Plan,
    home: Path,
    say: Callable[[str], None],
    hurry: Callable[[ChaosRig, Sequence[tuple[str, str]]], None] | None = None,
) -> Outcome:
    """Run it and report the progress.

    A test names a function that brings on the end of messages by user and message ID; no user then
    waits for a window to open, which takes minutes.
    """
    with ChaosRig(home, plan.seed, plan.crash_share) as rig:
        caller = traffic.Caller(api_url=rig.stack["api_url"], parallel=plan.callers)
        users = traffic.population(plan.seed, plan.users, plan.most_retries)
        caller.set_overrides(users, rig.receivers)
        caller.set_categories()
        caller.repeats = 0
        messages = traffic.messages(plan.seed, users, plan.deliveries, plan.pace)
        say(f"{len(messages)} messages to {len(users)} users, under faults …")
        times = (time.time(), plan.changing)
        changes = [*preferences.planned(plan.seed, users, *times, all_open=hurry is not None)]
        first = [change for change in changes if not change[1].since]
        states = preferences.apply(first, caller)
        rig.faults.is_on = True
        rig.reaper.is_on = True
        began = time.monotonic()
        operator, is_over = Operator(rig.stores, caller, rig.ledger, plan.seed), threading.Event()
        # Seldom enough that preferences change between a failure and its new round.
        works = (is_over, plan.changing / 10)
        working = threading.Thread(target=operator.work, args=works, daemon=True)
        later = (changes[len(first) :], caller, states)
        changing = threading.Thread(target=preferences.apply, args=later, daemon=True)
        working.start()
        changing.start()
        try:
            caller.send(messages)
            sent = time.monotonic()
            say(f"sent after {sent - began:.0f} s; faults go on for {plan.linger:.0f} s …")
            time.sleep(plan.linger)
            changing.join()
        finally:
            is_over.set()
            working.join()
        rig.faults.is_on = False
        rig.reaper.is_on = False
        without_faults = time.monotonic()
        say("faults are off; waiting until nothing is owed …")
        until = time.monotonic() + plan.patience
        while (owed := rig.stores.owed()) and time.monotonic() < until:
            if hurry:
                hurry(rig, owed)
            time.sleep(0.5 if hurry else 2)
        quiet = time.monotonic()
        audited = _audit(rig, caller, users, messages, states, operator.redriven)
        # A broken promise can be examined without another run.
        (home / "audit.pickle").write_bytes(pickle.dumps(audited))
        found = broken(audited)
        return Outcome(
            found,
            {
                "broken": {promise: len(cases) for promise, cases in found.items() if cases},
                "seed": plan.seed,
                "accepted": len({name for _, name in audited.accepted}),
                "requests repeated by the caller": caller.repeats,
                **figures(audited),
                "AWS calls": {"seen": rig.faults.seen, "faulty": rig.faults.faulty},
                "seconds": {
                    "sending": sent - began,
                    "from the last message to quiet": quiet - sent,
                    "from the end of the faults to quiet": quiet - without_faults,
                },
            },
        )


def _audit(
    rig: ChaosRig,
    caller: traffic.Caller,
    users: Sequence[traffic.User],
    messages: Sequence[traffic.Message],
    states: Mapping[str, Sequence[preferences.State]],
    redriven: set[DeadLetter],
) -> Audit:
    rows = rig.stores.rows(MESSAGE, message_row)
    statuses = dict(status for user in users for status in caller.statuses(user.user_id))
    if len(statuses) < sum(len(row.deliveries) for row in rows) // 2:
        raise ToolFailure("the API returns far less than is stored: see the log of ListDeliveries")
    # A redrive whose worker was killed comes back after 720 s: the run does not wait for it.
    in_flight = rig.stores.dead_letters("DeliveryQueueUrl")
    return Audit(
        contents={message.request_id: str(message.body["content"]) for message in messages},
        responses=caller.responses,
        refused=caller.refused,
        cancelled=caller.cancelled,
        reopened=caller.reopened,
        rows=rows,
        requests=rig.stores.rows(REQUEST, request_row),
        statuses=statuses,
        mailbox={row.message_id: row.content for row in rig.stores.rows(MAILBOX, mailbox_row)},
        dead_letters=[*rig.stores.dead_letters(), *redriven],
        redriven=frozenset(redriven - set(in_flight)),
        writes=[*rig.ledger.writes.values()],
        arrivals=[*rig.ledger.arrivals],
        crashes=tuple(rig.reaper.crashes),
        deaths=dict(rig.workers.deaths),
        states=states,
        opted_out=frozenset(user.user_id for user in users if user.opted_out),
    )
