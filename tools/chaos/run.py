"""One run: set up, send under faults, turn the faults off, wait for quiet, reckon."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tools.chaos import audit, traffic
from tools.chaos.audit import Audit, Reckoning, hastened, reckon
from tools.chaos.rig import Stage, now
from tools.failure import ToolFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.chaos.faults import Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How big a run is, and how long it may take."""

    seed: int
    deliveries: int = 2000
    people: int = 50
    most_retries: int = 5
    """That anybody has asked for."""
    pace: float = 9.0
    """Messages a second."""
    callers: int = 8
    """Requests at a time: each is a process of its own in the local cloud."""
    crash_share: float = 0.02
    """Of the deliveries, at each step."""
    linger: float = 75.0
    """Seconds that faults go on after the last message: beyond the first leases' end."""
    patience: float = 900.0
    """Seconds for everything to come to its end after that."""
    hasten: bool = False
    """Whether dead workers' leases and the sweeper's minute are cut short instead of waited for."""


class Times(NamedTuple):
    """Seconds."""

    sending: float
    to_quiet: float
    """From the last message to the end of all that was owed."""
    after_faults: float
    """The same from the end of the faults."""


class Outcome(NamedTuple):
    """All that a run found out."""

    plan: Plan
    reckoning: Reckoning
    accepted: int
    repeats: int
    calls: Calls
    times: Times


def run(plan: Plan, home: Path, say: Callable[[str], None]) -> Outcome:
    """Do it, and tell how far it is."""
    with Stage(home, plan.seed, plan.crash_share) as stage:
        caller = traffic.Caller(api_url=stage.stack["api_url"], at_once=plan.callers)
        people = traffic.population(plan.seed, plan.people, plan.most_retries)
        caller.settle(people, stage.receivers)
        messages = traffic.messages(plan.seed, people, plan.deliveries, plan.pace)
        say(f"{len(messages)} messages to {len(people)} people, under faults …")
        stage.faults.turn_on()
        stage.reaper.is_on = True
        began = time.monotonic()
        caller.send(messages)
        sent = time.monotonic()
        say(f"sent after {sent - began:.0f} s; faults go on for {plan.linger:.0f} s …")
        time.sleep(plan.linger)
        stage.faults.turn_off()
        stage.reaper.is_on = False
        quiet_from = time.monotonic()
        say("faults are off; waiting until nothing is owed any more …")
        cut_short = _come_to_rest(plan, stage)
        rested = time.monotonic()
        reckoning = reckon(_audit(stage, caller, people, cut_short))
        reckoning.broken[audit.TAKEN_IN] += caller.refused
        return Outcome(
            plan=plan,
            reckoning=reckoning,
            accepted=len(caller.accepted),
            repeats=caller.repeats,
            calls=stage.faults.calls(),
            times=Times(sent - began, rested - sent, rested - quiet_from),
        )


def _come_to_rest(plan: Plan, stage: Stage) -> frozenset[str]:
    """Wait until nothing is owed; return the claims whose lease was cut short."""
    until = time.monotonic() + plan.patience
    cut_short: set[str] = set()
    while owed := stage.table.owed():
        if time.monotonic() > until:
            break
        if plan.hasten:
            cut_short |= _hasten(stage, owed)
        time.sleep(0.5 if plan.hasten else 2)
    return frozenset(cut_short)


def _hasten(stage: Stage, owed: list[dict[str, object]]) -> set[str]:
    """Let the minutes pass for what waits for a dead worker, or for a doorbell that was lost."""
    cut_short: set[str] = set()
    pids = stage.reaper.claimants
    for each in owed:
        row = stage.table.row(each)
        token = row.get("owner")
        if "sweep_at" not in row or (token and not stage.workers.is_dead(pids.get(token, 0))):
            continue
        overdue = row["status"] == "failed" or row["due_at"] < now() - 2
        if overdue and row["sweep_at"] > now() and stage.table.hasten(row, now()) and token:
            cut_short.add(token)
    stage.table.sweep()
    return cut_short


def _audit(
    stage: Stage,
    caller: traffic.Caller,
    people: list[traffic.Person],
    cut_short: frozenset[str],
) -> Audit:
    rows, mailbox = [], set()
    for row in stage.table.rows():
        if row["sk"].startswith("DELIVERY#"):
            rows.append(row)
        elif row["sk"].startswith("MAILBOX#"):
            mailbox.add(row["delivery_id"])
    shown = {
        one["delivery_id"]: one["status"]
        for person in people
        for one in caller.shown(person.user_id)
    }
    if len(shown) < len(rows) // 2:
        raise ToolFailure("the API shows far less than there is: see the log of ListDeliveries")
    return Audit(
        accepted=frozenset(caller.accepted),
        rows=rows,
        shown=shown,
        mailbox=frozenset(mailbox),
        arrivals=stage.receivers.arrivals,
        claims=hastened(stage.reaper.claims, cut_short),
        crashes=tuple(stage.reaper.crashes),
        deaths=dict(stage.workers.deaths),
        tickets=stage.table.tickets(),
    )
