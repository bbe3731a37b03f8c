"""Executable model of the delivery protocol in virtual time: one row per message, with holds, preferences, feedback and pauses.

    python -m tests.protocol_model.model                                          # default check: 1,500 random scenarios; exit status 1 if a promise breaks
    python -m tests.protocol_model.model --seed 1 --scenarios 20000               # more of them
    python -m tests.protocol_model.model --kind crash --scenarios 5000            # one kind of fault: quiet, aws, crash, stall or all
    python -m tests.protocol_model.model --without 4 --scenarios 4000             # without clause 4 of CLAUSES: which promise breaks?
    python -m tests.protocol_model.model --seed 17 --trace                        # print one run
    python -m tests.protocol_model.model --without 3 --seed 2484 --shrink I11     # print one run with only the faults that matter for I11
    python -m tests.protocol_model.model --big 5000 | --equal 50                  # one long run of many messages | 50 equal requests per scenario
    python -m tests.protocol_model.model --count                                  # no faults: writes of one message

A row is a value. A pure function (begin, settle, end, watch, ...) computes its successor, which is written on the condition
that `rev` is still the one that was read. There is one lease per message: one worker attempts everything that is due, in
order, and "record attempt k, claim attempt k+1" is one write.
Rows: R[request_id] is the plan (REQUEST# row, never changed). D[message_id] is the MESSAGE# row: {.., rev, sweep_at, owner,
lease_until, cur (= `current`), D: [deliveries]}; in it, a delivery's `max` and `delay` are `max_attempts` and
`retry_delay_seconds`, and `error` is `error_code`.
All interruptible functions are generators. `yield "label"` marks a point where the process may crash or stall and where
others run; `yield 3.0` sleeps. An AWS call is a point before, an effect, and a point after, with one fault drawn per SDK try.

Invariants (class World reports a violation with `bad`):
I1 no accepted delivery is lost, no 202 without a message row (I1c: no `content_expired` in a first round without a fault);
I2 at most max_attempts recorded outcomes and max_attempts + 3 sends per round; I3 one send per claim, no duplicate without a
crash, stall or AWS fault; I4 no attempt before its delay is over; I5 final states change only by a new round, which starts once
(I5b: its caller learns of it), or by feedback: success -> failed in the event's round and before the row expires, and with it
skipped by first_success -> pending; I6 first attempts in priority order; I7 every final failure has a dead letter; I8 one message per
identity (I8b: never created twice, I8c: every equal request gets a response); I9 at most one standing success in a
first_success message; I10 no send after a 200 of DELETE; I11 ended messages leave the sweep index, the sweeper rings sparingly; I12 only
an attempt whose worker crashed, stalled or met AWS faults counts as unknown; I14 no message is sent with another's content;
LATE no attempt is late without a fault.
With preferences: I6 no delivery is claimed for the first time while one with a smaller (due_at, place) is due and untried; I8d
equal requests are shown the same holds; I15 no send while the user has been closed for 12 s, unless the message is urgent, the
round ignores hours, or the worker stalled; I16 a hold uses no attempt; I17 without faults a delivery is attempted within 65 s
(+ 10 s per delivery of its message) of the first instant at which it is due and the user open, also after an unmute.
With feedback: I18 after the last event of a bounce no delivery is a success of the round that bounced; I19 a first_success
message whose success bounced ends with another success, or with every sibling failed or skipped for another reason; I20
no send to an address 12 s after a row recorded that it is dead; I21 the receipt and the error are those of the greatest event
of the round, in whatever order and however often the events come, and an event that changes nothing writes nothing.
With pauses: I22 at most one request per pause, unless the worker of the probe crashed or met AWS faults; I23 what a pause holds
is attempted within 65 s (+ 10 s per delivery of its message) of the change or deletion that ends the pause.
I6s and I10s are I6 and I10 where the worker stalled between its last check and its send. No protocol over these parts can
prevent them (*Limits* in docs/guarantees.md); they are the only violations that the default check accepts.
"""

import argparse
import collections
import contextlib
import heapq
import itertools
import math
import random
import time

TYPES = ["SLACK", "EMAIL", "WEBHOOK", "SMS", "CLI", "TOOL", "TEST"]
LEASE, VIS, WORKER_S, MAXRECV, SKEW = 60, 720, 120, 10, 5
STEPS = (60, 120, 240, 480, 900)
TERMINAL = {"success", "failed", "skipped"}
NO_DEAD_LETTER = {
    "expired",
    "no_address",
    "not_configured",
    "disabled_by_user",
    "cancelled",
    "content_expired",
    "bounced",
    "opted_out",
}
#: The reports of a provider after it accepted a message: the receipt, its rank, how a success ends then, and whether the address
#: is dead.
REPORTS = {
    "delayed": ("delayed", 0, None, False),
    "delivered": ("delivered", 1, None, False),
    "complaint": ("complained", 2, None, True),
    "hard": ("bounced", 3, "bounced", True),
    "soft": ("bounced", 3, "undelivered", False),
    "stop": ("opted_out", 3, "opted_out", True),
}
REPORTED = {"bounced", "undelivered", "opted_out"}
REPORTING = {"EMAIL", "SMS"}
FEEDBACK_VIS, FEEDBACK_RECV = 60, 20
CLAUSES = {
    1: "every write is conditional on the `rev` that was read (without: conditions on the delivery's own attributes only)",
    2: "sweep_at is computed over all deliveries of the row",
    3: "the sweeper sends dead letters that are owed",
    4: "a redrive removes ttl and refuses an expired row",
    5: "the message row outlives the request's identity",
    6: "a replay reads the message row and creates it if it is missing",
    7: "completion follows the stored plan (IDs, times), not the caller's",
    8: "the request row is kept for the longest chain, including Retry-After",
    9: "an early doorbell for the row's next due time is rung again",
    10: "the first ring is delayed to the due time; near deliver_at the sweeper looks after it",
    11: "the lease holder continues with everything that is due, and rings for the next due time at the end of its visit",
    12: "the lease is checked before the send; the claim is given back; SDK timeouts of 3 s; an attempt ends within 10 s",
    13: "next = least (due_at, place) of what is due",
    14: "a take-over settles the lost attempt (unknown, budget) and claims the next in one write",
    15: "the row is read consistently",
    16: "lost responses to the worker's own claim and record are recognized (owner, next token, last_owner)",
    17: "a lost response to /retry's own write is recognized (opened_by)",
    18: "first_success: a new round requires every sibling to be failed or skipped",
    19: "DelaySeconds is at most 900",
    20: "content of another message (mid differs) is never sent",
    21: "the sweeper does not ring during a live lease; it looks again when the lease ends",
    22: "the sweeper rings first, then stamps",
    23: "an expired lease is still a claim for DELETE",
    24: "a record that is refused while the claim is still held is computed again",
    25: "DELETE rings for the next due time if it changed it",
    26: "sweep_at moves up after a record (kept only within 60 s before the wanted time)",
    27: "a refused put of the message row means that it exists: continue",
    28: "a completed replay rings too",
    29: "a write without a ring after it (DELETE, feedback) never moves sweep_at later",
    30: "after sending dead letters the sweeper rings for what is due next",
    31: "H1: a hold uses no try, and the visit goes on",
    32: "H2: content is kept for the longest hold; no delivery is held beyond hold_end",
    33: "H3: a re-plan that changes the next due time rings for it",
    34: "H4: a write that sets `held` is followed by a read of the preferences; the row is rescheduled until they stay the same",
    35: "H5: the plan stores each delivery's due_at and held",
    36: "H6: held deliveries are rescheduled when preferences change",
    37: "H7: an attempt looks whether the user may be disturbed now",
    38: "H8: a held delivery keeps the time before which it is not due whatever the hours (not_before)",
    39: "H9: a re-plan reads the preferences again at its end, and starts again if they changed",
    40: "F1: a bounce ends only a success of its own round, in a row that has not expired",
    41: "F2: the write that ends a first_success success makes every sibling that it skipped pending again",
    42: "F3: feedback that changes the next due time rings for it",
    43: "F4: an event for a pending delivery returns to its queue",
    44: "F5: receipts merge by rank, then by time; an unchanged row is not written",
    45: "F6: the suppression is written before the message row",
    46: "P1: a paused receiver gets nothing until its pause is over",
    47: "P2: a conditional update chooses one probe per pause",
    48: "P3: a failed probe starts the next pause, whatever retries it has left",
    49: "P4: the end of a probe depends on the pause that it probed, not on the version of the row",
    50: "P5: a change or deletion of the override that ends a pause re-plans what is held",
}
FEEDBACK, PAUSE = range(40, 46), range(46, 51)
#: Seconds, scaled: failures and time until the first pause, its length, the longest, and the time until the receiver is disabled.
PAUSE_AFTER, PAUSE_SINCE, PAUSE_FIRST, PAUSE_MOST, DISABLE = 3, 300, 300, 2000, 9000
PROBE = 60
#: Seconds, scaled: the longest mute and closed time; the retention after the last round; the rest of a later round.
MUTE, CLOSED, MARGIN, LAST = 10_000, 5_000, 3_000, 500
READINGS = {
    101: "next = least place of what is due (no due_at)",
    102: "sweep_at is only ever lowered, never moved up",
    103: "every claim moves sweep_at to lease_until",
    104: "sweep_at is never kept: always set to the wanted time",
    105: "the visit rings for every delivery that is due later, not only the next",
}
INHERENT = {"I6s", "I10s"}


class Cond(Exception):
    def __init__(self, old):
        self.old = old


class AwsErr(Exception):
    """The SDK gave up."""


class Proc:
    def __init__(self, w, name, gen, inv=None, faulty=True):
        self.w, self.name, self.inv, self.faulty, self.n = w, name, inv, faulty, 0
        self.rnd = random.Random(f"{w.seed}:{name}")
        self.skew = inv.skew if inv else self.rnd.uniform(-SKEW, SKEW) if w.p["skew"] else 0.0
        self.gen, self.dead, self.token = gen(self), False, None

    def clock(self):
        return self.w.now + self.skew


class Inv:
    def __init__(self, w, name, msgs):
        self.name, self.msgs, self.t0, self.procs, self.dead = name, msgs, w.now, [], False
        r = random.Random(f"{w.seed}:{name}")
        self.skew = r.uniform(-SKEW, SKEW) if w.p["skew"] else 0.0
        self.left, self.failed = len(msgs), set()


def copy(r):
    return None if r is None else {**r, "D": [dict(d) for d in r["D"]]}


class World:
    def __init__(self, seed, F, params, suppressed=(), trace=False):
        self.seed, self.F, self.p, self.sup, self.tr = seed, F, params, set(suppressed), trace
        self.now, self.heap, self.seq = 0.0, [], 0
        self.D, self.R, self.prev, self.over, self.plans = {}, {}, {}, {}, {}
        self.buf, self.dlq, self.msgs = [], [], []
        self.faults, self.log, self.viol, self.M = [], [], [], collections.Counter()
        self.tokens, self.sends, self.order, self.acks = (
            {},
            collections.defaultdict(list),
            collections.defaultdict(list),
            collections.defaultdict(list),
        )
        self.failed_rounds, self.dead_letters, self.rounds_started = (
            set(),
            set(),
            collections.Counter(),
        )
        self.cancelled, self.swrings, self.finished, self.gone, self.created = (
            {},
            collections.Counter(),
            {},
            set(),
            set(),
        )
        self.rnd = random.Random(f"{seed}:world")
        self.names = collections.Counter()
        self.user, self.urgent, self.spread = (
            dict(
                version=0,
                win=None,
                muted=0.0,
                types=frozenset(),
                suppressed=frozenset(),
                health={},
            ),
            set(),
            0,
        )
        self.past, self.base, self.held_once, self.shown = (
            [(0.0, self.user)],
            {},
            set(),
            collections.defaultdict(list),
        )
        self.feed, self.parked, self.bounced, self.excused = [], set(), set(), set()
        self.reports, self.dead, self.cleared, self.revived, self.late = (
            collections.defaultdict(list),
            {},
            {},
            set(),
            set(),
        )
        self.down, self.pauses, self.paused_once, self.expect = (
            {},
            collections.defaultdict(list),
            set(),
            {},
        )
        self.rec_end, self.lateness, self.purged, self.asked = (
            {},
            collections.Counter(),
            False,
            collections.Counter(),
        )

    def at(self, t, fn, *a):
        self.seq += 1
        heapq.heappush(self.heap, (t, self.seq, fn, a))

    def say(self, who, what):
        if self.tr:
            self.log.append(f"{self.now:9.1f} {who:14} {what}")

    def bad(self, inv, text):
        self.viol.append((inv, f"{self.now:.1f} {text}"))
        self.say("!!", f"{inv} {text}")

    def fault(self, key):
        if key in self.sup:
            return False
        self.faults.append(key)
        return True

    def spawn(self, name, gen, inv=None, faulty=True, delay=0.0):
        self.names[name] += 1
        p = Proc(self, f"{name}#{self.names[name]}", gen, inv, faulty)
        if inv:
            inv.procs.append(p)
        self.at(self.now + delay, self.step, p)
        return p

    def step(self, p):
        if p.dead:
            return None
        try:
            y = next(p.gen)
        except StopIteration:
            return None
        except (AwsErr, Cond):
            return None
        if isinstance(y, float):
            self.at(self.now + y, self.step, p)
            return None
        p.n += 1
        d = p.rnd.random() * 0.05
        u = p.rnd.random()
        P = self.p
        if p.faulty and self.now < P["Tf"]:
            if u < P["crash"] and self.fault((p.name, p.n, "crash@" + y)):
                return self.crash(p, y)
            if P["crash"] <= u < P["crash"] + P["stall"] and self.fault(
                (p.name, p.n, "stall@" + y)
            ):
                d = p.rnd.uniform(70, 800)
                self.M["stall"] += 1
                self.excuse(p, "stall")
                self.say(p.name, f"STALL {d:.0f}s at {y}")
        self.at(self.now + d, self.step, p)
        return None

    def excuse(self, p, why):
        for q in p.inv.procs if p.inv and why == "crash" else [p]:
            q.excused = why
            if q.token and not self.tokens[q.token]["recorded"]:
                self.tokens[q.token]["excuse"] = self.tokens[q.token]["excuse"] or why

    def crash(self, p, y):
        self.M["crash"] += 1
        self.say(p.name, f"CRASH at {y}")
        self.excuse(p, "crash")
        for q in p.inv.procs if p.inv else [p]:
            q.dead = True
        if p.inv:
            p.inv.dead = True

    # -- AWS --------------------------------------------------------------------------------------------------------
    def aws(self, p, name, fn):
        for i in range(3):
            yield name + ">"
            u = p.rnd.random()
            slow = p.rnd.random()
            p.n += 1
            kind = None
            if p.faulty and self.now < self.p["Tf"] and u < self.p["aws"]:
                kind = "lost" if u < self.p["aws"] / 2 else "thr"
                if not self.fault((p.name, p.n, kind + "@" + name)):
                    kind = None
            if kind == "thr":
                self.M["thr"] += 1
                self.say(p.name, f"{name} throttled")
                yield 0.1 * 2**i
                continue
            try:
                res = fn()
            except Cond as e:
                res = e
            if kind == "lost":
                self.M["lost"] += 1
                self.say(p.name, f"{name}: response lost after the effect")
                yield (
                    3.0 if 12 in self.F else (60.0 if slow < 0.2 else 1.0)
                )  # botocore's default read time-out is 60 s
                continue
            yield name + "<"
            if isinstance(res, Cond):
                raise res
            return res
        raise AwsErr(name)

    def commit(self, new, p, effect=None):
        """Put the successor of a row; watches every transition (I5) and counts write units."""
        mid = new["mid"]
        old = self.D.get(mid)
        self.prev[mid] = (self.now, old and old.get("sweep_at"))
        self.D[mid] = new
        self.M["row_writes"] += 1
        a, b = (old or {}).get("sweep_at"), new.get("sweep_at")
        self.M["index_writes"] += 0 if a == b else 2 if a is not None and b is not None else 1
        for i, d in enumerate(new["D"]):
            o = old["D"][i] if old else dict(d, status="pending")
            did = did_of(new, i)
            if o["status"] in TERMINAL and d["status"] != o["status"]:
                if (o["status"], d["status"]) == ("success", "failed"):
                    if (did, d["round"]) not in self.bounced or d["error"] not in REPORTED:
                        self.bad("I5", f"{did} ends after its success in round {d['round']}")
                    elif old.get("ttl", math.inf) < self.now - 2 * SKEW:
                        self.bad("I5", f"{did} changes although its row has expired")
                    self.failed_rounds.add((did, d["round"], d["error"]))
                    self.M["bounced"] += 1
                elif (
                    (o["status"], o["error"], d["status"])
                    == ("skipped", "first_success", "pending")
                    and d["round"] == o["round"]
                    and all(x["status"] != "success" for x in new["D"])
                ):
                    self.M["revived"] += 1
                    if not waits(new, i):
                        self.revived.add(did)
                elif not (
                    d["status"] == "pending"
                    and o["status"] == "failed"
                    and d["round"] == o["round"] + 1
                ):
                    self.bad("I5", f"{did} {o['status']}->{d['status']} in round {d['round']}")
                else:
                    self.rounds_started[did, d["round"]] += 1
            elif o["status"] in TERMINAL and d["round"] != o["round"]:
                self.bad("I5", f"{did} round {o['round']}->{d['round']} while {d['status']}")
            if o["status"] == "pending" and d["status"] in TERMINAL:
                self.finished[did] = self.now
                if (
                    d["error"] == "unknown_outcome"
                    and d["type"] != "SMS"
                    and d["tries"] - min(d["unknown"], 3) < d["max"]
                ):
                    self.bad(
                        "I2b",
                        f"{did} unknown_outcome after {d['tries']} tries, {d['unknown']} unknown, max {d['max']}",
                    )
                if (
                    d["error"] == "content_expired"
                    and d["round"] == 1
                    and self.p["quiet"]
                    and not self.purged
                    and mid not in self.late
                ):
                    self.bad("I1c", f"{did} content_expired in its first round, nothing wrong")
                used = d["attempts"] + d["unknown"] - min(d["unknown"], 3)
                if d["error"] == "exhausted" and used < d["max"]:
                    self.bad("I16", f"{did} exhausted after {used} of {d['max']} attempts")
                if d["status"] == "failed":
                    self.failed_rounds.add((did, d["round"], d["error"]))
            if o["status"] in TERMINAL and d["status"] == "pending":
                self.finished.pop(did, None)
            if d["unknown"] > o["unknown"] and d["round"] == o["round"]:
                T = self.tokens.get(old["owner"])
                if T and not T["excuse"]:
                    self.bad(
                        "I12",
                        f"{did}: a try of {old['owner']} counted as unknown that neither crashed nor stalled",
                    )
            if (o["status"], d["status"]) == ("success", "failed") and d["error"] in {
                "bounced",
                "opted_out",
            }:
                self.dead.setdefault(d["type"], self.now)
        if p.name.startswith("feedback") and old and {**new, "rev": 0} == {**old, "rev": 0}:
            self.bad("I21", f"{mid} is written although nothing changes")
        if any(d.get("held") for d in new["D"]):
            self.held_once.add(mid)
        own = new.get("owner")
        if own and own not in self.tokens:
            place, at = new["cur"], new["lease_until"] - LEASE
            key = (new["D"][place]["due_at"], place)
            before = [
                j for t, j in open_(new) if t <= at and (t, j) < key and not new["D"][j]["tries"]
            ]
            if mid in self.held_once and new["D"][place]["tries"] == 1 and before:
                self.bad(
                    "I6", f"{mid}: place {place} is claimed while {before} are due and untried"
                )
            self.tokens[own] = dict(
                did=did_of(new, new["cur"]),
                round=new["D"][new["cur"]]["round"],
                recorded=False,
                # The lease began before this write: the worker stalled between computing and writing.
                excuse="stall" if p.clock() - at > 10 else None,
                sent=0,
                t=self.now,
            )
            p.token = own
        if effect:
            effect()
        if self.tr:
            f = lambda r: {
                k: round(v, 1) if isinstance(v, float) else v for k, v in r.items() if k != "D"
            }
            ch = {k: v for k, v in f(new).items() if not old or f(old).get(k) != v} | (
                {k: None for k in old if k not in new} if old else {}
            )
            for i, d in enumerate(new["D"]):
                c = {k: v for k, v in f(d).items() if not old or f(old["D"][i]).get(k) != v}
                if c:
                    ch[d["type"]] = c
            self.say(p.name, f"{mid} {ch}")

    # -- SQS --------------------------------------------------------------------------------------------------------
    def put(self, body, delay=0, who="?"):
        if delay > 900:
            self.M["over900"] += 1
        if delay > 900:
            raise AwsErr("DelaySeconds > 900")
        m = dict(id=len(self.msgs), body=body, recv=0, deleted=False)
        self.msgs.append(m)
        self.M["bells"] += 1
        late = self.rnd.random() * (20 if self.rnd.random() < self.p["reorder"] else 0.2)
        self.at(self.now + delay + late, self.deliver, m)
        if self.rnd.random() < self.p["dup"]:
            self.M["sqsdup"] += 1
            self.at(self.now + delay + late + self.rnd.random() * 3, self.deliver, m, True)
        self.say(who, f"rings {body} +{delay}")
        return True

    def deliver(self, m, dup=False):
        if (m["deleted"] and not dup) or m.get("purged"):
            return
        m["recv"] += 1
        if m["recv"] > MAXRECV:
            m["deleted"] = True
            self.dlq.append(m["body"])
            self.M["infra_dlq"] += 1
            return
        self.at(self.now + VIS, self.deliver, m)
        if not self.buf:
            self.at(self.now + 0.05, self.flush)
        self.buf.append(m)

    def flush(self):
        ms, self.buf = self.buf, []
        self.rnd.shuffle(ms)
        while ms:
            part, ms = ms[:3], ms[3:]
            uniq = list({m["id"]: m for m in part}.values())
            inv = Inv(self, f"w{uniq[0]['id']}.{uniq[0]['recv']}", uniq)
            for m in uniq:
                self.spawn(inv.name, lambda p, m=m, inv=inv: thread(self, p, m, inv), inv)

    def purge(self):
        for m in self.msgs:
            m["purged"] = True
        self.purged = True
        self.say("ops", "PURGE of all queues")
        self.dlq.clear()

    def console_redrive(self):
        bodies, self.dlq = self.dlq, []
        for b in bodies:
            self.put(b, 0, "console")


def did_of(r, i):
    return f"{r['mid']}.{r['D'][i]['type']}"


# ---- the protocol: pure functions from row to row -----------------------------------------------------------------------
def waits(r, i):
    """first_success: a delivery of round 1 waits while one before it is pending."""
    return (
        r["mode"] == "first"
        and r["D"][i]["round"] == 1
        and any(d["status"] == "pending" for d in r["D"][:i])
    )


def open_(r):
    return [
        (d["due_at"], i)
        for i, d in enumerate(r["D"])
        if d["status"] == "pending" and not waits(r, i) and not (r.get("owner") and r["cur"] == i)
    ]


def next_due(r):
    return min((t for t, _ in open_(r)), default=None)


def pick(w, r, now):
    due = [(t, i) for t, i in open_(r) if t <= now]
    if not due:
        return None
    if 101 in w.F:
        return min(i for _, i in due)
    return min(due)[1] if 13 in w.F else max(due)[1]


def watch(w, r, now, only=None, lower=False):
    """Set sweep_at: the earliest time at which the sweeper should look. Kept where it is at most 60 s before that: no index write."""
    c = [r["lease_until"]] if r.get("owner") else []
    c += [
        max(t, now) + 60 if t - now <= 900 else t - 900
        for t, i in open_(r)
        if 2 in w.F or only is None or i == only
    ]
    c += [now + 60 for d in r["D"] if d.get("dead_letter_owed")]
    want, cur = min(c, default=None), r.get("sweep_at")
    if want is None:
        r.pop("sweep_at", None)
    elif 103 in w.F and r.get("owner"):
        r["sweep_at"] = r["lease_until"]
    elif lower and 29 in w.F and cur is not None and cur <= want:
        pass
    elif 104 in w.F:
        r["sweep_at"] = want
    elif 102 in w.F or 26 not in w.F:
        r["sweep_at"] = want if cur is None or cur > want else cur
    elif cur is None or not want - 60 <= cur <= want:
        r["sweep_at"] = want
    if all(d["status"] in TERMINAL for d in r["D"]):
        if "ttl" not in r:
            r["ttl"] = max(now + w.p["retention"], r["keep"] if 5 in w.F else 0)
    else:
        r.pop("ttl", None) if 4 in w.F else None
    return r


def end(w, r, i, status, error):
    """One delivery ends; in a first_success message a success ends those that are pending."""
    d = r["D"][i]
    d.update(status=status, error=error)
    d.pop("held", None)
    d.pop("not_before", None)
    if status == "failed" and error not in NO_DEAD_LETTER:
        d["dead_letter_owed"] = True
    if status == "success" and r["mode"] == "first":
        for o in r["D"]:
            if o["status"] == "pending":
                o.update(status="skipped", error="first_success")


def claim_next(w, r, tok, now):
    i = pick(w, r, now)
    if i is None:
        return False
    r["D"][i]["tries"] += 1
    was = {k: r["D"][i].pop(k, None) for k in ("held", "not_before")}
    assert was["held"] is None or was["not_before"] <= now or 38 not in w.F
    r.update(owner=tok, lease_until=now + LEASE, cur=i)
    r.pop("rings", None)
    return True


def release(r, tok):
    r.pop("owner", None)
    r.pop("lease_until", None)
    r.pop("cur", None)
    r.update(last_owner=tok)
    r.pop("rings", None)


def begin(w, row, tok, now):
    """A worker comes to a row. Returns (successor or None, what)."""
    r, settled = copy(row), None
    if r.get("owner"):
        if r["lease_until"] > now:
            return None, "live"
        settled = i = r["cur"]
        d = r["D"][i]
        d["unknown"] += 1
        r.pop("owner")
        r.pop("lease_until")
        r.pop("cur")
        r.pop("rings", None)
        if d["tries"] - min(d["unknown"], 3) >= d["max"] or d["type"] == "SMS":
            end(w, r, i, "failed", "unknown_outcome")
        if 14 not in w.F:
            return watch(w, r, now), "settled"
    got = claim_next(w, r, tok, now)
    if not got and settled is None:
        return None, "idle"
    return watch(w, r, now, r.get("cur", settled)), "claimed" if got else "settled"


def settle(w, row, tok, nxt, now, change, more):
    """The claim's outcome, and the next claim: one write."""
    r = copy(row)
    i = r["cur"]
    release(r, tok)
    change(r, i)
    if more:
        claim_next(w, r, nxt, now)
    return watch(w, r, now, i)


# ---- preferences: when a user may be disturbed ---------------------------------------------------------------------------
def is_open(u, t):
    """A window is (period, phase, length); without one the user is always open."""
    return t >= u["muted"] and (not u["win"] or (t - u["win"][1]) % u["win"][0] < u["win"][2])


def resumes(w, u, r, d, t):
    """The first instant from t on at which the receiver is not paused, and no other delivery probes it."""
    h = u["health"].get(d["type"])
    if h is None or h["paused_until"] is None or 46 not in w.F:
        return t
    if t < h["paused_until"]:
        return h["paused_until"] + random.Random(r["mid"]).random() * 120
    return max(t, h["probe_until"] or 0.0) if 47 in w.F else t


def opening(w, u, r, d, t):
    """The first instant from t on at which the delivery may be sent."""
    t = resumes(w, u, r, d, t)
    if r["urgent"] or d.get("ignores_hours") or d["type"] not in u["types"]:
        return t
    start = max(t, u["muted"])
    if is_open(u, start):
        return start
    period, phase, _ = u["win"]
    o = start + (phase - start) % period
    return o + w.spread if is_open(u, o + w.spread) else o


def plan_hours(w, u, r, d, t):
    """Set due_at, held and not_before of a delivery that is due at t. True if it is held."""
    o = opening(w, u, r, d, t)
    for k in ("held", "not_before"):
        d.pop(k, None)
    d["due_at"] = min(o, max(r["hold_end"], t))
    if o > t:
        d.update(held=True, not_before=t)
        if resumes(w, u, r, d, t) > t:
            w.paused_once.add(f"{r['mid']}.{d['type']}")
            w.M["held by a pause"] += 1
    return o > t


def reschedule(w, r, u, now, clock_only=False):
    """H6: every held delivery that is not claimed gets its opening. None: nothing changes."""
    changed, was = False, next_due(r)
    for i, d in enumerate(r["D"]):
        if d["status"] != "pending" or not d.get("held") or (r.get("owner") and r["cur"] == i):
            continue
        t = max(now, d["not_before"]) if 38 in w.F else now
        if d["due_at"] <= now and opening(w, u, r, d, now) <= now:
            continue  # it is due and open already: its doorbell is on the way
        old, floor = dict(d), d["not_before"]
        if plan_hours(w, u, r, d, t):
            d["not_before"] = floor
        changed |= d != old
    if not changed:
        return None
    r.pop("rings", None)
    return watch(w, r, now, lower=next_due(r) == was)


# ---- writes -------------------------------------------------------------------------------------------------------------
def merge(cur, seen, new):
    """Return the row after an update of single attributes (clause 1 left out)."""
    out = copy(cur)
    for a, b, c in [(out, seen, new), *list(zip(out["D"], seen["D"], new["D"], strict=True))]:
        for k in set(b) | set(c):
            if k == "D" or b.get(k) == c.get(k):
                continue
            if k in c:
                a[k] = c[k]
            else:
                a.pop(k, None)
    return out


def swap(w, p, name, row, new, cond, effect=None):
    """Replace the row that was read by its successor; if it has changed, Cond holds the stored row."""

    def fn():
        cur = w.D.get(row["mid"])
        if cur is None:
            raise Cond(None)
        ok = cur["rev"] == row["rev"] if 1 in w.F else cond(cur)
        if not ok:
            w.M["refused_" + name] += 1
            raise Cond(copy(cur))
        w.commit(new if 1 in w.F else merge(cur, row, new), p, effect)
        return copy(w.D[row["mid"]])

    return (yield from w.aws(p, name, fn))


def rev(w, p, r):
    w.M["revs"] += 1
    r["rev"] = f"{p.name}/{w.M['revs']}"
    return r


def edit(w, p, name, row, f, cond, effect=None):
    """Work out and write until it holds. Returns (row written or None if f declines, row seen last)."""
    for _ in range(10):
        new = f(copy(row))
        if new is None:
            return None, row
        rev(w, p, new)
        try:
            return (yield from swap(w, p, name, row, new, cond, effect)), row
        except Cond as e:
            if e.old is None:
                return None, None
            if e.old["rev"] == new["rev"]:
                return e.old, row
            row = e.old
    raise AwsErr("ten refusals")


# ---- worker -------------------------------------------------------------------------------------------------------------
def thread(w, p, m, inv):
    try:
        yield from handle(w, p, m["body"], inv)
    except (AwsErr, Cond):
        inv.failed.add(m["id"])
        w.excuse(p, "aws")
    inv.left -= 1
    if inv.left == 0:
        yield "report"
        for x in inv.msgs:
            if x["id"] not in inv.failed:
                x["deleted"] = True


def ring(w, p, body, delay=0):
    d = max(0, math.ceil(delay))
    if 19 in w.F:
        d = min(900, d)
    yield from w.aws(p, "ring", lambda: w.put(body, d, p.name))


def overrides(w):
    return {**w.over, "user": w.user}


def ring_if_moved(w, p, new, seen, clause=33):
    """H3, F3: ring if the next due time changed and no worker has the row."""
    nd = next_due(new)
    live = new.get("owner") and new["lease_until"] > p.clock()
    if (
        clause in w.F
        and nd is not None
        and nd != next_due(seen)
        and nd - p.clock() <= 900
        and not live
    ):
        with contextlib.suppress(AwsErr):
            yield from ring(w, p, ("message", new["mid"], nd), nd - p.clock())


def look_again(w, p, row, u):
    """H4: what was held by preferences that were read before the write. Returns the row and the preferences."""
    while 34 in w.F and row is not None and any(d.get("held") for d in row["D"]):
        v = (yield from w.aws(p, "getuser", lambda: overrides(w)))["user"]
        if v["version"] == u["version"]:
            break
        u = v
        new, seen = yield from edit(
            w, p, "reschedule", row, lambda r: reschedule(w, r, u, p.clock()), lambda r: True
        )
        if new is None:
            row = seen
            break
        yield from ring_if_moved(w, p, new, seen)
        row = new
    return row, u


def put_preferences(w, p, change, clause=36):
    """PUT of preferences, or of an override (P5), then the re-plan of what is held."""

    def put():
        old = w.user
        w.user = {**old, **change(w.now), "version": old["version"] + 1}
        w.past.append((w.now, w.user))
        w.say(p.name, f"PREFERENCES {w.user}")
        w.M["puts"] += 1
        ended = {t for t in old["health"] if t not in w.user["health"]}
        for r in w.D.values():
            for i, d in enumerate(r["D"]):
                if d["status"] == "pending" and d.get("held") and d["type"] in ended:
                    w.expect[did_of(r, i)] = w.now
        return w.user

    u = yield from w.aws(p, "putuser", put)
    while clause in w.F:
        rows = yield from w.aws(
            p,
            "query",
            lambda: [
                copy(r)
                for r in w.D.values()
                if r.get("sweep_at") is not None and any(d.get("held") for d in r["D"])
            ],
        )
        for row in rows:
            new, seen = yield from edit(
                w, p, "replan", row, lambda r: reschedule(w, r, u, p.clock()), lambda r: True
            )
            if new is not None:
                w.M["replanned"] += 1
                yield from ring_if_moved(w, p, new, seen)
        if 39 not in w.F:
            return
        v = (yield from w.aws(p, "getuser", lambda: overrides(w)))["user"]
        if v["version"] == u["version"]:
            return
        u = v


def read(w, p, mid, consistent=True):
    """One BatchGetItem: message row, request row, overrides."""

    def fn():
        r = w.D.get(mid)
        if (
            r is not None
            and not consistent
            and w.now - w.prev.get(mid, (0, 0))[0] < max(1, w.p["lag"]) * w.rnd.random()
        ):
            r = None
        return copy(r), dict(w.R[r["rid"]]) if r and r["rid"] in w.R else None, overrides(w)

    return (yield from w.aws(p, "read", fn))


def handle(w, p, b, inv):
    if b[0] == "redrive":
        yield from redrive(w, p, b[1], b[2], b[3] - 1)
        return
    _, mid, bell = b
    out_of_time = lambda: w.now - inv.t0 > WORKER_S - 30
    if out_of_time():
        yield from ring(w, p, b)
        return
    looked = w.now
    row, req, over = yield from read(w, p, mid, 15 in w.F)
    if row is None:
        return
    what = None
    for k in range(10):
        start = w.now
        tok = f"{p.name}/{p.n}.{k}"  # a fresh token for each claim, also for one computed again
        new, what = begin(w, row, tok, p.clock())
        if new is None:
            break
        seen = row
        same = lambda r: (
            r.get("owner") == seen.get("owner")
            and r.get("lease_until") == seen.get("lease_until")
            and (r.get("owner") or "cur" not in new or r["D"][new["cur"]] == seen["D"][new["cur"]])
        )
        try:
            row = yield from swap(w, p, "claim", row, rev(w, p, new), same)
            break
        except Cond as e:
            if e.old is None:
                return
            row = e.old
            if 16 in w.F and (row.get("owner") == tok or row["rev"] == new["rev"]):
                break
    else:
        raise AwsErr("ten refusals")
    if what == "live":
        return  # its holder goes on with all that is due
    if what == "idle":
        nd = next_due(row)
        if 9 in w.F and nd is not None and nd == bell:
            yield from ring(w, p, b, max(1, nd - p.clock()))
        return
    owed = set()

    def note(r):
        owed.update((i, d["round"]) for i, d in enumerate(r["D"]) if d.get("dead_letter_owed"))

    note(row)
    while row is not None and row.get("owner") == tok:
        i = row["cur"]
        d = row["D"][i]
        did = did_of(row, i)
        change = back = None
        hold = False
        if w.now - looked > 10:
            try:
                looking = w.now
                over = yield from w.aws(p, "getover", lambda: overrides(w))
                looked = looking
            except AwsErr:
                back = True
        if back:
            pass
        elif req is None or (20 in w.F and req["mid"] != mid):
            if mid == (w.R.get(row["rid"]) or {}).get("mid"):
                w.bad("I1", f"{did} content_expired while its request row exists")
            change = lambda r, i: end(w, r, i, "failed", "content_expired")
        elif row["expires"] and p.clock() > row["expires"]:
            change = lambda r, i: end(w, r, i, "failed", "expired")
        elif over.get(d["type"]) is False:
            change = lambda r, i: end(w, r, i, "skipped", "disabled_by_user")
        elif d["type"] in over["user"]["suppressed"]:
            change = lambda r, i: end(w, r, i, "skipped", "address_bounced")
        elif health(over, d)["disabled"]:
            change = lambda r, i: end(w, r, i, "failed", "disabled_after_failures")
        elif 37 in w.F and (o := opening(w, over["user"], row, d, p.clock())) > p.clock():
            if p.clock() >= row["hold_end"] or (row["expires"] and o > row["expires"]):
                change = lambda r, i: end(w, r, i, "failed", "expired")
                w.M["hold_end"] += p.clock() >= row["hold_end"]
            else:
                hold = True
                w.M["holds"] += 1

                def change(r, i, u=over["user"]):
                    if 31 in w.F:
                        r["D"][i]["tries"] -= 1
                    plan_hours(w, u, r, r["D"][i], p.clock())
        elif 12 in w.F and w.now - start > LEASE - 2 * SKEW - 25:
            back = True
        effect = None
        T = w.tokens[tok]
        probed = None
        if change is None and not back and health(over, d)["paused_until"] is not None:
            try:
                probed, u = yield from probe(w, p, d["type"])
            except AwsErr:
                back = True
            else:
                over = {**over, "user": u}
                if not probed and opening(w, u, row, d, p.clock()) > p.clock():
                    hold = True

                    def change(r, i, u=u):
                        r["D"][i]["tries"] -= 1
                        plan_hours(w, u, r, r["D"][i], p.clock())

                elif w.now - looked > 10 or (12 in w.F and w.now - start > LEASE - 2 * SKEW - 25):
                    back = True
        more = 11 in w.F and not out_of_time()
        if back:

            def change(r, i):
                r["D"][i]["tries"] -= 1

            more = False
            w.M["giveback"] += 1
        elif change is None:
            yield "send>"
            T["sent"] += 1
            out = send(w, p, row, d, did, tok, T, req)
            yield (
                10.0
                if out == "timeout"
                else 75.0
                if 12 not in w.F and w.p["slowch"] and p.rnd.random() < 0.05
                else p.rnd.random() * w.p["sendtime"]
            )
            yield "send<"
            finish, true_end = p.clock(), w.now
            if w.p["pausing"] and (out != "perm" or probed):
                last = d["tries"] - min(d["unknown"], 3) >= d["max"]
                try:
                    over = {
                        **over,
                        "user": (
                            yield from judge(w, p, d["type"], over["user"], out, probed, last)
                        ),
                    }
                except AwsErr:
                    T["excuse"] = T["excuse"] or "health faults"
            delay = max(d["delay"], 1000.0 if out == "ra" else 0)
            due = finish + delay
            if out == "ok":
                change = lambda r, i: (
                    r["D"][i].update(attempts=r["D"][i]["attempts"] + 1),
                    end(w, r, i, "success", None),
                )
            elif out == "perm" or d["tries"] - min(d["unknown"], 3) >= d["max"]:
                change = lambda r, i: (
                    r["D"][i].update(attempts=r["D"][i]["attempts"] + 1),
                    end(w, r, i, "failed", "permanent" if out == "perm" else "exhausted"),
                )
            elif row["expires"] and opening(w, over["user"], row, d, due) > row["expires"]:
                change = lambda r, i: (
                    r["D"][i].update(attempts=r["D"][i]["attempts"] + 1),
                    end(w, r, i, "failed", "expired"),
                )
            else:

                def change(r, i, u=over["user"]):
                    r["D"][i].update(attempts=r["D"][i]["attempts"] + 1)
                    plan_hours(w, u, r, r["D"][i], due)

            def effect(out=out, did=did, rnd_=d["round"], delay=delay, change=change):
                w.rec_end[did, rnd_] = (true_end, delay)
                w.base[did] = due

        nxt = tok + "+"

        def effect2(T=T, e=effect, did=did, hold=hold):
            T["recorded"] = True
            if hold:
                w.base[did] = w.now
                w.expect.pop(did, None)
            e and e()

        start = w.now
        row = yield from record(w, p, row, tok, nxt, change, more, effect2)
        if row is not None:
            note(row)
            if row["D"][i].get("held"):
                row, u = yield from look_again(w, p, row, over["user"])
                over = {**over, "user": u}
        if back:
            if row is not None:
                yield from ring(w, p, ("message", mid, row["D"][i]["due_at"]))
            w.excuse(p, "aws")
            break
        tok = nxt
        if not more:
            break
    if row is None:
        return
    # the visit is over: dead letters, then the ring for what is due next
    if owed:
        yield from dead_letters(w, p, row, owed)
    if row.get("owner"):
        return
    nd = next_due(row)
    if nd is not None and (11 in w.F or nd > p.clock()) and nd - p.clock() <= 900:
        for t in sorted({t for t, _ in open_(row)}) if 105 in w.F else [nd]:
            with contextlib.suppress(AwsErr):
                yield from ring(w, p, ("message", mid, t), t - p.clock())


def health(over, d):
    return over["user"]["health"].get(d["type"]) or dict(disabled=False, paused_until=None)


def with_health(w, ty, h):
    """Replace what is known about a receiver; None: nothing."""
    rest = {t: x for t, x in w.user["health"].items() if t != ty}
    w.user = {
        **w.user,
        "health": rest if h is None else {**rest, ty: h},
        "version": w.user["version"] + 1,
    }
    return w.user


def probe(w, p, ty):
    """P2: after a pause one delivery is sent. Returns its token, and the user as seen."""

    def fn():
        h, now = w.user["health"].get(ty), p.clock()
        if h is None or h["paused_until"] is None:
            return None, w.user
        if 47 in w.F and (h["paused_until"] > now or (h["probe_until"] or 0) > now):
            return None, w.user
        token = f"{p.name}/{p.n}"
        w.M["probes"] += 1
        return token, with_health(w, ty, {**h, "probe_until": now + PROBE, "probe_by": token})

    return (yield from w.aws(p, "probe", fn))


def judge(w, p, ty, seen, out, probed, last):
    """Write what an attempt says about the receiver's health, before its record. Returns the user as seen.

    A probe that the receiver rejects shows that it works: that ends the pause as a success does.
    """
    h0 = seen["health"].get(ty)
    works = out in {"ok", "perm"}
    if works and h0 is None:
        return seen
    if not works and not last and not (probed and 48 in w.F):
        return seen

    def fn():
        h, now = w.user["health"].get(ty), p.clock()
        stale = w.user["version"] != seen["version"]
        if probed and 49 in w.F:
            if h is None or h.get("probe_by") != probed:
                return w.user
        elif stale:
            return w.user
        if works:
            w.M["recovered"] += 1
            return with_health(w, ty, None)
        h = h or dict(
            failures=0,
            first=now,
            paused_until=None,
            probe_until=None,
            pauses=0,
            disabled=False,
        )
        h = {**h, "failures": h["failures"] + 1}
        first = h["paused_until"] is None
        if (
            probed
            if not first
            else (h["failures"] >= PAUSE_AFTER and now - h["first"] >= PAUSE_SINCE)
        ):
            pause = min(PAUSE_FIRST * 2 ** h["pauses"], PAUSE_MOST)
            h.update(
                paused_until=now + pause,
                probe_until=None,
                pauses=h["pauses"] + 1,
                disabled=now - h["first"] >= DISABLE,
            )
            w.pauses[ty].append((w.now, []))
            w.M["pauses"] += 1
            w.M["disabled"] += h["disabled"]
        return with_health(w, ty, h)

    return (yield from w.aws(p, "health", fn))


def report(w, row, d, did, n):
    """The provider reports later about a message that it accepted."""
    g = random.Random(f"{w.seed}:reports:{did}:{n}")
    stories = [(), ("delivered",), ("hard",), ("delivered", "hard"), ("soft",), ("soft", "hard")]
    stories += [("delayed", "delivered"), ("delivered", "complaint"), ("hard", "complaint")]
    story = g.choice([*stories, ("stop",)] if d["type"] == "SMS" else stories)
    at = w.now
    for kind in story:
        at += g.choice([0.05, 1, 5, 60, 300, 600]) * g.uniform(0.2, 1)
        if g.random() < 0.05:
            at += 6000  # the row may have expired
            w.late.add(row["mid"])
        ev = (did, row["mid"], row["cur"], d["round"], kind, at)
        if REPORTS[kind][2]:
            w.bounced.add((did, d["round"]))
        # Events may come doubled and in any order.
        for _ in range(2 if g.random() < 0.3 else 1):
            m = dict(ev=ev, recv=0, deleted=False)
            w.feed.append(m)
            w.at(at + g.choice([0, 0, 30, 700]) * g.random(), receive, w, m)


def receive(w, m):
    """FeedbackQueue: a visibility of 60 s, parked after 20 receives."""
    if m["deleted"]:
        return
    m["recv"] += 1
    if m["recv"] > FEEDBACK_RECV:
        m["deleted"] = True
        w.parked.add(m["ev"])
        w.M["parked"] += 1
        return
    w.at(w.now + FEEDBACK_VIS, receive, w, m)

    def work(p):
        if (yield from feedback(w, p, m["ev"])):
            yield "report"
            m["deleted"] = True

    w.spawn("feedback", work)


def suppress(w, p, ty):
    def fn():
        if ty not in w.user["suppressed"]:
            w.user = {
                **w.user,
                "suppressed": w.user["suppressed"] | {ty},
                "version": w.user["version"] + 1,
            }
        return True

    yield from w.aws(p, "getuser", lambda: True)
    yield from w.aws(p, "suppress", fn)


def feedback(w, p, ev):
    """One event of a provider. True if it is done with."""
    did, mid, i, round_, kind, at = ev
    state, rank, code, dead = REPORTS[kind]
    if dead and 45 in w.F:
        yield from suppress(w, p, did.split(".")[-1])
    row, _, over = yield from read(w, p, mid)
    if row is None:
        w.excused.add((did, round_))
        return True
    why = []

    def f(r):
        why.clear()
        before, d, now = copy(r), r["D"][i], p.clock()
        if d["round"] != round_ and 40 in w.F:
            return why.append("round")
        if d["status"] == "pending":
            return why.append("pending")
        if r.get("ttl", 1e18) <= now and 40 in w.F:
            return why.append("expired")
        old = d.get("receipt")
        new = (rank, at, state)
        wins = old is None or new > old or 44 not in w.F
        if wins:
            d["receipt"] = new
        # The outcome follows the receipt, so that the order of two events does not matter.
        if code and (d["status"] == "success" or (wins and d["error"] in REPORTED)):
            revives = d["status"] == "success" and r["mode"] == "first"
            if d["error"] != code:
                end(w, r, i, "failed", code)
            if revives and 41 in w.F:
                revive(w, r, over["user"], now)
        if r == before and 44 in w.F:
            return why.append("unchanged")
        r.pop("rings", None)
        return watch(w, r, now, lower=True)

    new, seen = yield from edit(w, p, "feedback", row, f, lambda r: True)
    if new is not None and 41 not in w.F and seen["D"][i]["status"] == "success" and code:

        def again(r):
            if r["mode"] != "first" or not revive(w, r, over["user"], p.clock()):
                return None
            return watch(w, r, p.clock(), lower=True)

        yield "between the writes"
        second, _ = yield from edit(w, p, "feedback", new, again, lambda r: True)
        new = second or new
    if new is not None:
        yield from ring_if_moved(w, p, new, seen, 42)
        owed = {(j, x["round"]) for j, x in enumerate(new["D"]) if x.get("dead_letter_owed")}
        if owed:
            yield from dead_letters(w, p, new, owed, lower=True)
        yield from look_again(w, p, new, over["user"])
    if dead and 45 not in w.F:
        yield from suppress(w, p, did.split(".")[-1])
    if why == ["pending"]:
        w.M["returned"] += 1
        return 43 not in w.F
    if why == ["expired"] or (new is None and seen is None):
        w.excused.add((did, round_))
    w.reports[did, round_].append((rank, at, state, code))
    return True


def revive(w, r, u, now):
    """F2: what a success skipped is pending again, in its round."""
    hit = False
    for d in r["D"]:
        if d["status"] == "skipped" and d["error"] == "first_success":
            d.update(status="pending", error=None)
            plan_hours(w, u, r, d, now)
            hit = True
    return hit


def send(w, p, row, d, did, tok, T, req):
    n = len(w.sends[did])
    rr = random.Random(f"{w.seed}:rcv:{did}:{n}")
    out = rr.choices(["ok", "retry", "perm", "timeout", "ra"], w.p["recv"])[0]
    if any(a <= w.now < b for a, b in w.down.get(d["type"], ())):
        out = "timeout" if rr.random() < 0.1 else "retry"
    if w.p["feedback"] and d["type"] in REPORTING and out in {"ok", "timeout"}:
        report(w, row, d, did, n)
    dead = w.dead.get(d["type"], math.inf)
    if (
        w.now > dead + 12
        and T["excuse"] != "stall"
        and w.cleared.get(d["type"], -1e9) < dead - 1500
    ):
        w.bad("I20", f"{did} sent {w.now - dead:.0f} s after a bounce of its address was recorded")
    if (w.user["health"].get(d["type"]) or {}).get("paused_until") is not None:
        begun, sent = w.pauses[d["type"]][-1]
        if w.now > begun + 12:
            sent.append(tok)
    if (
        did in w.expect
        and w.p["quiet"]
        and not w.purged
        and not w.p["hours"]
        and row["mode"] == "all"
    ):
        since = max(w.expect.pop(did), w.base[did])
        if w.now - since > 65 + 10 * len(row["D"]):
            w.bad("I23", f"{did} sent {w.now - since:.0f} s after its receiver's pause was ended")
    w.sends[did].append((w.now, d["round"], out, tok))
    w.say(p.name, f"SEND {did} try {d['tries']} -> {out}")
    w.M["tries"] += 1
    if req["mid"] != row["mid"]:
        w.bad("I14", f"{did} sent with the content of {req['mid']}")
    if d["round"] == 1 and not any(x[1] == 1 for x in w.sends[did][:-1]):
        w.order[row["mid"]].append((row["cur"], did, tok))
    if did in w.cancelled:
        w.bad(
            "I10s" if T["excuse"] == "stall" else "I10",
            f"{did} sent after it was cancelled at {w.cancelled[did]:.1f}",
        )
    late = w.now - d["due_at"]
    once = did in w.revived and d["tries"] == 1
    if w.p["quiet"] and not w.purged and d["unknown"] == 0 and (row["mode"] == "all" or once):
        w.lateness[len(row["D"])] = max(w.lateness[len(row["D"])], late)
        if late > 45 + 10 * (len(row["D"]) - 1):
            w.bad("LATE", f"{did} {late:.0f} s after due_at, nothing wrong")
    urgent = row["urgent"] or d.get("ignores_hours")
    if not urgent and T["excuse"] != "stall" and closed_since(w, d["type"], w.now):
        w.bad("I15", f"{did} sent although the user has been closed for 12 s")
    if (
        w.p["quiet"]
        and not w.purged
        and d["unknown"] == 0
        and row["mode"] == "all"
        and did not in w.paused_once
    ):
        first = first_chance(w, row, d, w.base[did])
        if w.now - first > 65 + 10 * len(row["D"]):
            w.bad(
                "I17", f"{did} sent {w.now - first:.0f} s after it was due and open at {first:.0f}"
            )
    if d["round"] == 1 and w.now < w.plans[row["mid"]]["due"] - 2 * SKEW - 0.01:
        w.bad("I4", f"{did} sent before deliver_at")
    pe = w.rec_end.get((did, d["round"]))
    if pe and w.now < pe[0] + pe[1] - 2 * SKEW - 0.01 and not T["excuse"]:
        w.bad("I4", f"{did} sent {w.now - pe[0]:.1f}s after a recorded end, delay {pe[1]}")
    return out


def closed_since(w, ty, t):
    """True if the user was closed for this type from 12 s before t until the clocks' skew after it."""
    changed = [a for a, _ in w.past if t - 12 <= a <= t]
    for x in [*(t + k / 2 for k in range(-24, 2 * SKEW + 1)), *changed]:
        u = next(u for a, u in reversed(w.past) if a <= max(0.0, x))
        if ty not in u["types"] or is_open(u, x):
            return False
    return True


def first_chance(w, row, d, base):
    """The first instant from base on at which the delivery was due and the user open, by what was true then."""
    patience = 65 + 10 * len(row["D"])
    for (a, u), (b, _) in zip(w.past, [*w.past[1:], (math.inf, None)], strict=True):
        if b > base:
            o = opening(w, u, row, d, max(a, base))
            if o + patience < b:
                sure = row["urgent"] or d["type"] not in u["types"] or is_open(u, o + patience)
                return o if sure or d.get("ignores_hours") else math.inf
    return math.inf


def record(w, p, row, tok, nxt, change, more, effect):
    """Write a claim's outcome with the next claim; repeat while there is time. Returns the row, None if the result is lost."""
    t0 = w.now
    mine = lambda r: r.get("owner") == tok
    while True:
        try:
            while True:
                new = rev(
                    w, p, settle(w, row, tok, nxt, p.clock(), change, more and w.now - t0 < 20)
                )
                try:
                    return (yield from swap(w, p, "record", row, new, mine, effect))
                except Cond as e:
                    if e.old is None:
                        return None
                    if e.old.get("owner") == tok and 24 in w.F:
                        row = e.old
                        continue  # another's write came between
                    if 16 in w.F and (
                        e.old.get("owner") == nxt
                        or e.old.get("last_owner") == tok
                        or e.old["rev"] == new["rev"]
                    ):
                        return e.old
                    w.M["record_lost"] += 1
                    w.say(p.name, "record lost")
                    return None
        except AwsErr:
            T = w.tokens[tok]
            if not T["recorded"]:
                T["excuse"] = T["excuse"] or "record faults"
            if w.now - t0 > 40:
                raise


def dead_letters(w, p, row, owed, lower=False):
    for i, rnd_ in sorted(owed):
        did = did_of(row, i)

        def send_(did=did, i=i, rnd_=rnd_):
            w.dead_letters.add((did, rnd_ + 1))
            w.dlq.append(("redrive", row["mid"], i, rnd_ + 1))
            w.say(p.name, f"DEAD LETTER {did} {rnd_ + 1}")
            return True

        yield from w.aws(p, "dead letter", send_)

    def f(r):
        hit = [
            i
            for i, rnd_ in owed
            if r["D"][i].get("dead_letter_owed")
            and r["D"][i]["round"] == rnd_
            and r["D"][i]["status"] == "failed"
        ]
        for i in hit:
            r["D"][i].pop("dead_letter_owed")
        return watch(w, r, p.clock(), hit[0] if hit else None, lower) if hit else None

    return (
        yield from edit(
            w, p, "clear", row, f, lambda r: all(r["D"][i]["status"] == "failed" for i, _ in owed)
        )
    )


def redrive(w, p, mid, i, rnd_, now_true=False):
    """POST /retry and a redriven dead letter: failed in round r -> pending in r+1. True if this call did it."""
    me = f"{p.name}/{p.n}"
    row, _, over = yield from read(w, p, mid)
    if row is None:
        return False

    def f(r):
        d = r["D"][i]
        now = p.clock()
        if d["status"] != "failed" or d["round"] != rnd_ or d["error"] == "content_expired":
            return None
        if 4 in w.F and r.get("ttl", 1e18) <= now:
            return None
        if d["error"] in REPORTED and d["type"] in over["user"]["suppressed"]:
            return None  # 409 while the address is suppressed
        if (
            18 in w.F
            and r["mode"] == "first"
            and any(o["status"] not in ("failed", "skipped") for o in r["D"])
        ):
            return None
        d.update(
            status="pending",
            round=rnd_ + 1,
            tries=0,
            unknown=0,
            attempts=0,
            due_at=now,
            error=None,
            opened_by=me,
        )
        d.pop("dead_letter_owed", None)
        d.pop("ignores_hours", None)
        d.pop("receipt", None)
        if now_true:
            d["ignores_hours"] = True
        r.pop("rings", None)
        if 32 in w.F and "later_end" in r:
            r["hold_end"] = r["later_end"]
        if opening(w, over["user"], r, d, now) > max(now, r["hold_end"]):
            return None  # 409 that names now=true; a dead letter is dropped
        plan_hours(w, over["user"], r, d, now)
        return watch(w, r, now, i)

    def effect():
        w.base[did_of(row, i)] = w.now

    new, seen = yield from edit(
        w,
        p,
        "redrive",
        row,
        f,
        lambda r: r["D"][i]["status"] == "failed" and r["D"][i]["round"] == rnd_,
        effect,
    )
    if new is None:
        own = seen and seen["D"][i].get("opened_by") == me
        if not own:
            return False
        if 17 not in w.F:
            w.bad("I5b", f"{did_of(seen, i)}: the caller that opened round {rnd_ + 1} gets 409")
            return False
        new = seen
    nd = next_due(new)  # the write may have moved sweep_at behind it
    if nd is not None and nd - p.clock() <= 900:
        with contextlib.suppress(AwsErr):
            yield from ring(w, p, ("message", mid, nd), nd - p.clock())
    yield from look_again(w, p, new, over["user"])
    return True


# ---- sweeper ------------------------------------------------------------------------------------------------------------
def sweep(w, p):
    t0, lag = w.now, w.p["lag"]
    due = []
    for mid in list(w.D):
        t, old = w.prev.get(mid, (-1e9, None))
        v = old if w.now - t < lag * p.rnd.random() else w.D[mid].get("sweep_at")
        if v is not None and v <= p.clock():
            due.append((v, mid))
    due.sort()
    yield "query"
    for s, mid in due:
        if w.now - t0 > 45 and not w.p["Tf"] > w.now:
            return
        try:
            row = yield from w.aws(p, "getrow", lambda: copy(w.D.get(mid)))
            now = p.clock()
            if row is None or row.get("sweep_at") is None or row["sweep_at"] > now:
                continue
            held = row.get("owner") and row["lease_until"] > now
            if held and 21 in w.F:
                yield from swap(
                    w,
                    p,
                    "stamp",
                    row,
                    rev(w, p, {**copy(row), "sweep_at": row["lease_until"]}),
                    lambda r: r.get("sweep_at") == row["sweep_at"],
                )
                continue
            owed = {(i, d["round"]) for i, d in enumerate(row["D"]) if d.get("dead_letter_owed")}
            if owed and 3 in w.F:
                row = (yield from dead_letters(w, p, row, owed))[0]
                if (
                    row is None
                    or row.get("sweep_at") is None
                    or (30 not in w.F and row["sweep_at"] > now)
                ):
                    continue
                if row.get("owner") and row["lease_until"] > now:
                    continue
            nd = min(
                [t for t, _ in open_(row)]
                + ([row["D"][row["cur"]]["due_at"]] if row.get("owner") else []),
                default=None,
            )
            if nd is None:
                if 3 in w.F:
                    yield from edit(
                        w, p, "tidy", row, lambda r: watch(w, r, p.clock()), lambda r: True
                    )
                continue
            if nd - now > 900 and not row.get("owner"):
                yield from swap(
                    w,
                    p,
                    "stamp",
                    row,
                    rev(w, p, {**copy(row), "sweep_at": nd - 900}),
                    lambda r: r.get("sweep_at") == row["sweep_at"],
                )
                continue

            def stamp():
                r = copy(row)
                k = row.get("rings", 0)
                r.update(sweep_at=max(p.clock(), nd) + STEPS[min(4, k)], rings=k + 1)
                return swap(
                    w, p, "stamp", row, rev(w, p, r), lambda r: r.get("sweep_at") == row["sweep_at"]
                )

            if 22 not in w.F:
                yield from stamp()
            yield from ring(w, p, ("message", mid, nd), max(0, min(900, nd - p.clock())))
            w.swrings[mid] += 1
            ends = [w.finished.get(did_of(row, i), w.now) for i in range(len(row["D"]))]
            if w.now - max(ends) > 4000 and not w.p["Tf"] > w.now - 3000:
                w.bad("I11", f"{mid} still rung {w.now - max(ends):.0f} s after it finished")
            if 22 in w.F:
                yield from stamp()
        except (Cond, AwsErr):
            continue


def ticker(w):
    if any(
        r.get("sweep_at") is not None and r["sweep_at"] <= w.now + SKEW + 1 for r in w.D.values()
    ) or (w.prev and any(w.now - t < 100 for t, _ in w.prev.values())):
        w.spawn("sweep", lambda p: sweep(w, p))
        if w.rnd.random() < w.p["overlap"]:
            w.spawn("sweep", lambda p: sweep(w, p), delay=w.rnd.random() * 5)
    w.at(w.now + 60, ticker, w)


def ttl_job(w):
    """DynamoDB removes expired rows in any order, some time later."""
    for mid, r in list(w.D.items()):
        if r.get("ttl", 1e18) < w.now and w.rnd.random() < 0.7:
            for i, d in enumerate(r["D"]):
                if d["status"] not in TERMINAL:
                    w.bad("I1", f"{did_of(r, i)} deleted by TTL while {d['status']}")
                w.gone.add(did_of(r, i))
            del w.D[mid]
            w.gone.add(mid)
    for k, r in list(w.R.items()):
        if r["ttl"] < w.now and w.rnd.random() < 0.3:
            del w.R[k]
    w.at(w.now + 600, ttl_job, w)


# ---- API ----------------------------------------------------------------------------------------------------------------
def accept(w, p, rid, types, mode, deliver_at, expires, body):
    """REQUEST# row, then MESSAGE# row (the commit point), then the ring, then 202."""
    now = p.clock()
    due = max(now, deliver_at or 0)
    w.asked[rid] += 1
    S = [
        w.p["max"](t) * (max(w.p["delay"], 1000 if 8 in w.F else 0) + 10 * len(types) + 60)
        for t in types
    ]
    longest = (sum(S) if mode == "first" and 8 in w.F else max(S)) if S else 0
    user = w.user
    holds = w.p["hours"] or w.p["pausing"]
    if holds:
        user = (yield from w.aws(p, "getuser", lambda: overrides(w)))["user"]
    kept = w.p["retention"]
    if holds and 32 in w.F:
        kept = max(kept, MUTE + CLOSED + MARGIN)
    ttl = due + longest + kept
    plan = dict(
        mid=f"{rid}/{p.name}",
        rid=rid,
        types=types,
        mode=mode,
        due=due,
        expires=expires,
        fp=body,
        ttl=ttl,
        t=w.now,
        urgent=rid in w.urgent,
        hold_end=ttl - longest - MARGIN if 32 in w.F else math.inf,
        D=[],
    )
    for t in types:
        d = dict(type=t)
        plan_hours(w, user, plan, d, due)
        if not (
            expires and d.get("held") and d["due_at"] > expires
        ):  # else skipped: expires_while_held
            plan["D"].append(d)
    w.M["held at accept"] += sum(1 for d in plan["D"] if d.get("held"))

    def put_request():
        r = w.R.get(rid)
        if r is not None and r["ttl"] >= now:
            raise Cond(dict(r))
        w.R[rid] = plan
        w.plans[plan["mid"]] = plan
        w.M["request_writes"] += 1
        return True

    try:
        yield from w.aws(p, "putreq", put_request)
    except Cond as e:
        if e.old["mid"] != plan["mid"]:
            if e.old["fp"] != body:
                return
            stored = e.old
            if 6 not in w.F:
                yield from ack(w, rid, stored)
                return
            if not stored["D"] or (yield from w.aws(p, "getmsg", lambda: stored["mid"] in w.D)):
                yield from ack(w, rid, stored)
                return
            w.M["orphans"] += 1
            w.say(p.name, f"completes the orphan {stored['mid']}")
            if 7 in w.F:
                plan = stored
                if 35 not in w.F:
                    plan = {
                        **stored,
                        "D": [dict(type=d["type"], due_at=stored["due"]) for d in stored["D"]],
                    }
            else:
                plan = dict(plan, ttl=stored["ttl"])
                w.plans[plan["mid"]] = plan
            if 28 not in w.F:
                deliver_at = now + 1e9

    def put_message():
        mid = plan["mid"]
        if mid in w.D:
            raise Cond(copy(w.D[mid]))
        if mid in w.created:
            w.bad("I8b", f"{mid} is made a second time")
        w.created.add(mid)
        D = [
            dict(
                status="pending",
                round=1,
                tries=0,
                unknown=0,
                attempts=0,
                max=w.p["max"](d["type"]),
                delay=w.p["delay"],
                error=None,
                **d,
            )
            for d in plan["D"]
        ]
        r = dict(
            mid=mid,
            rid=rid,
            mode=plan["mode"],
            expires=plan["expires"],
            keep=plan["ttl"] + 100,
            urgent=plan["urgent"],
            hold_end=plan["hold_end"],
            later_end=plan["ttl"] - LAST,
            rev=f"{p.name}/put",
            D=D,
        )
        now2 = p.clock()
        if 10 in w.F:
            watch(w, r, now2)
        else:
            r["sweep_at"] = now2 + 60 if not deliver_at else plan["due"] - 900
        for i in range(len(D)):
            w.base[did_of(r, i)] = plan["due"]
        w.commit(r, p)
        w.say(p.name, f"accepted {mid} due {plan['due']:.0f}")
        return copy(r)

    row = None
    if plan["D"]:
        try:
            row = yield from w.aws(p, "putmsg", put_message)
        except Cond as e:
            if 27 not in w.F:
                return
            row = e.old
        nd = plan["due"] if not holds else next_due(row)
        if (
            nd is not None
            and not (nd - p.clock() > 900)
            and not (28 not in w.F and deliver_at == now + 1e9)
        ):
            with contextlib.suppress(AwsErr):
                yield from ring(
                    w, p, ("message", plan["mid"], nd), nd - p.clock() if 10 in w.F else 0
                )
        if plan is not w.plans[plan["mid"]]:
            user = dict(
                user, version=-1
            )  # an orphan is completed: its holds are older than this call
        with contextlib.suppress(AwsErr):
            yield from look_again(w, p, row, user)
    yield from ack(w, rid, plan)


def ack(w, rid, plan):
    yield "respond"
    mid = plan["mid"]
    w.acks[rid].append((w.now, mid))
    w.M["acks"] += 1
    w.shown[mid].append([(d["type"], d["due_at"], d.get("held")) for d in plan["D"]])
    if plan["D"] and mid not in w.D and mid not in w.gone and mid not in w.created:
        w.bad("I1", f"202 for {mid}, which is not there")


def cancel(w, p, mid, i):
    row = (yield from read(w, p, mid))[0]
    if row is None:
        return

    def f(r):
        d = r["D"][i]
        if d["status"] != "pending" or (
            r.get("owner") and r["cur"] == i and (23 in w.F or r["lease_until"] > p.clock())
        ):
            return None
        if r.get("owner") and r["cur"] == i:
            release(r, "cancel")
        end(w, r, i, "skipped", "cancelled")
        return watch(w, r, p.clock(), i, True)

    new, seen = yield from edit(
        w,
        p,
        "cancel",
        row,
        f,
        lambda r: r["D"][i]["status"] == "pending" and not (r.get("owner") and r["cur"] == i),
    )
    if new is None and not (seen and seen["D"][i]["error"] == "cancelled"):
        return
    w.cancelled[did_of(new or seen, i)] = w.now
    w.say(p.name, f"200 cancelled {did_of(new or seen, i)}")
    nd = next_due(new) if new else None
    if 25 in w.F and new and nd is not None and nd != next_due(seen) and nd - p.clock() <= 900:
        yield from ring(w, p, ("message", mid, nd), nd - p.clock())


def post_retry(w, p, mid, i):
    r = (yield from read(w, p, mid))[0]
    if r and r["D"][i]["status"] == "failed":
        now_true = w.p["hours"] and random.Random(f"{p.name}:{w.seed}:now").random() < 0.3
        yield from redrive(w, p, mid, i, r["D"][i]["round"], now_true)


# ---- scenarios ----------------------------------------------------------------------------------------------------------
def params(seed, kind=None):
    g = random.Random(f"{seed}:params")
    kind = kind or g.choice(["quiet", "quiet", "aws", "crash", "stall", "all", "all"])
    f = {
        "quiet": (0, 0, 0),
        "count": (0, 0, 0),
        "aws": (g.choice([0.1, 0.3, 0.5]), 0, 0),
        "crash": (0, g.choice([0.01, 0.03, 0.1]), 0),
        "stall": (0, 0, g.choice([0.01, 0.04])),
        "all": (g.choice([0.05, 0.3]), g.choice([0.005, 0.03]), g.choice([0.002, 0.02])),
    }[kind]
    mx = {t: g.choice([1, 1, 2, 3, 4, 11]) for t in TYPES}
    return dict(
        kind=kind,
        quiet=kind in ("quiet", "count"),
        aws=f[0],
        crash=f[1],
        stall=f[2],
        Tf=0 if kind in ("quiet", "count") else g.choice([100, 600, 3000]),
        skew=g.random() < 0.6,
        dup=g.choice([0, 0.02, 0.2]),
        reorder=g.choice([0, 0.1, 0.5]),
        lag=g.choice([0, 1, 3]) if kind == "quiet" else g.choice([0, 2, 90]),
        overlap=g.choice([0, 0.3]),
        recv=g.choice(
            [
                (1, 0, 0, 0, 0),
                (7, 2, 1, 1, 0),
                (3, 5, 1, 1, 0),
                (0, 1, 0, 0, 0),
                (1, 1, 1, 0, 0),
                (4, 3, 0, 0, 1),
                (1, 0, 2, 0, 0),
            ]
        ),
        delay=g.choice([1, 5, 30, 60, 300, 901, 3600]),
        max=lambda t: mx[t],
        sendtime=g.choice([0.5, 9]),
        slowch=g.random() < 0.2,
        retention=g.choice([1e6, 1e6, 4000]),
        hours=random.Random(f"{seed}:hours").random() < 0.5,
        feedback=random.Random(f"{seed}:feedback").random() < 0.5,
        pausing=random.Random(f"{seed}:pausing").random() < 0.3,
    )


def build(w):
    g = random.Random(f"{w.seed}:build")
    P = w.p
    for i in range(g.choice([1, 1, 1, 2])):
        rid = f"r{i}"
        types = g.sample(TYPES, g.choice([1, 2, 3, 4, 4, 7]))
        mode = g.choice(["all", "all", "first"])
        t = g.uniform(0, 100)
        dl = g.choice([None, None, None, t + 40, t + 500, t + 2000])
        ex = (dl or t) + g.choice([100, 1500]) if g.random() < 0.15 else None
        for k in range(g.choice([1, 1, 2, 3])):
            w.spawn(
                f"api-{rid}",
                lambda p, a=(rid, types, mode, dl, ex, "body"): accept(w, p, *a),
                delay=t + (0 if not k else g.choice([0.01, 5, 700]) * g.random()),
            )
        if P["retention"] < 1e5:  # repeats around the end of the identity
            for _ in range(g.choice([1, 3])):
                w.spawn(
                    f"api-{rid}",
                    lambda p, a=(rid, types, mode, None, None, "body"): accept(w, p, *a),
                    delay=t + g.uniform(3000, 16000),
                )
        for j, ty in enumerate(types):
            find = lambda rid=rid, ty=ty: next(
                (
                    (m, i)
                    for m, r in list(w.D.items())
                    if r["rid"] == rid
                    for i, d in enumerate(r["D"])
                    if d["type"] == ty
                ),
                None,
            )
            if g.random() < 0.25:
                w.at(
                    t + g.choice([0.02, 0.3, 5, 70, 900]) * g.uniform(0.5, 1.5),
                    lambda find=find: (
                        (d := find()) and w.spawn("cancel", lambda p: cancel(w, p, *d))
                    ),
                )
            for _ in range(g.choice([0, 0, 0, 1, 2])):
                w.at(
                    t + g.choice([1, 20, 20.1, 100, 2500, 3900, 9000]),
                    lambda find=find: (
                        (d := find()) and w.spawn("retry", lambda p: post_retry(w, p, *d))
                    ),
                )
    for _ in range(g.choice([0, 0, 1, 2])):
        w.at(g.choice([30, 300, 3000, 9000]) * g.uniform(0.5, 1.5), w.console_redrive)
    if g.random() < 0.15:
        w.at(g.choice([1, 60, 600]) * g.uniform(0.5, 1.5), w.purge)
    if g.random() < 0.2:
        ty, t = g.choice(TYPES), g.choice([1, 50, 500]) * g.random()
        w.at(t, w.over.__setitem__, ty, False)
        if g.random() < 0.5:
            w.at(t + g.choice([10, 1000]), w.over.__setitem__, ty, True)
    if P["hours"]:
        build_hours(w)
    if P["feedback"]:
        build_feedback(w)
    if P["pausing"]:
        build_pause(w)
    w.at(g.random() * 60, ticker, w)
    w.at(600, ttl_job, w)


def build_hours(w):
    """Generate preferences and their changes from another stream, so that runs without them do not change."""
    g = random.Random(f"{w.seed}:preferences")
    w.urgent = {f"r{i}" for i in range(2) if g.random() < 0.15}
    w.spread = g.choice([0, 5, 119])

    def hours():
        period, length = g.choice([(600, 300), (1800, 900), (4000, 400), (4900, 300)])
        return dict(win=(period, g.uniform(0, period), length), types=types())

    def types():
        return frozenset(g.sample(TYPES, g.choice([1, 3, 3, 7, 7])))

    def mute():
        length = g.choice([20, 300, 3000, MUTE]) * g.uniform(0.7, 1)
        return lambda now: dict(muted=now + length)

    def change():
        fixed = g.choice(
            [dict(muted=0.0), dict(muted=0.0), dict(win=None), dict(types=types()), hours()]
        )
        return mute() if g.random() < 0.4 else lambda now: fixed

    first = g.choice([{}, hours(), hours(), dict(types=types(), muted=g.choice([50, 2000, MUTE]))])
    w.user = {**w.user, **first}
    w.past[0] = (0.0, w.user)
    put = lambda f: w.spawn("put", lambda p: put_preferences(w, p, f))
    for _ in range(g.choice([0, 1, 2, 3, 5])):
        t = g.choice([110, 300, 3000, 12000]) * g.random()
        w.at(t, put, change())
        if g.random() < 0.4:  # two simultaneous changes
            w.at(t + g.choice([0.01, 0.1, 1]) * g.random(), put, change())
    if g.random() < 0.05:  # a mute that is renewed for longer than a hold may last
        for k in range(8):
            w.at(20 + 9000 * k, put, lambda now: dict(muted=now + MUTE))


def build_feedback(w):
    """More of what providers report about: another message, retries, and suppressions that are cleared."""
    g = random.Random(f"{w.seed}:build feedback")
    for k in range(g.choice([1, 1, 2])):
        others = [t for t in TYPES if t not in REPORTING]
        types = g.sample(sorted(REPORTING), g.choice([1, 2])) + g.sample(
            others, g.choice([0, 1, 3])
        )
        mode = g.choice(["all", "first", "first"])
        w.spawn(
            f"api-f{k}",
            lambda p, a=(f"f{k}", types, mode, None, None, "body"): accept(w, p, *a),
            delay=g.choice([10, 300, 3000]) * g.random(),
        )
    for _ in range(g.choice([0, 1, 3, 6])):
        w.at(g.choice([100, 1000, 4000]) * g.uniform(0.1, 1), retry_any, w, g.random())
    for _ in range(g.choice([0, 0, 1, 2])):
        w.at(g.choice([500, 4000]) * g.uniform(0.1, 1), clear_suppressions, w)


def retry_any(w, u):
    """POST /retry of a delivery that failed over a type whose provider reports."""
    hit = [
        (mid, i)
        for mid, r in w.D.items()
        for i, d in enumerate(r["D"])
        if d["status"] == "failed" and d["type"] in REPORTING
    ]
    if hit:
        one = hit[int(u * len(hit))]
        w.spawn("retry", lambda p: post_retry(w, p, *one))


def clear_suppressions(w):
    for t in w.user["suppressed"]:
        w.cleared[t] = w.now
        w.dead.pop(t, None)
    w.user = {**w.user, "suppressed": frozenset(), "version": w.user["version"] + 1}


def build_pause(w):
    """A receiver that is down for some time, many messages for it, and PUTs that end its pause."""
    g = random.Random(f"{w.seed}:build pause")
    ty = g.choice(["WEBHOOK", "SLACK", "EMAIL"])
    begin_, length = g.uniform(0, 300), g.choice([800, 2000, 4000, 30000])
    w.down[ty] = [(begin_, begin_ + length)]
    most, limit = w.p["max"], g.choice([1, 1, 2])
    w.p["max"] = lambda t: min(limit, most(t)) if t == ty else most(t)
    for k in range(g.choice([5, 8, 12])):
        types = [ty, *g.sample([t for t in TYPES if t != ty], g.choice([0, 0, 1, 2]))]
        mode = g.choice(["all", "all", "first"])
        w.spawn(
            f"api-p{k}",
            lambda p, a=(f"p{k}", types, mode, None, None, "body"): accept(w, p, *a),
            delay=g.choice([100, 900, 900, 4000]) * g.random(),
        )
    for k in range(g.choice([0, 1, 3])):
        w.at(begin_ + length * g.random() + k * 200, unpause, w, ty)
    if length > 5000:
        w.at(begin_ + length + 5000, unpause, w, ty)
    # The version of the user's row changes for other reasons.
    for _ in range(g.choice([0, 10, 40])):
        w.at(g.uniform(300, 6000), touch, w)


def unpause(w, ty):
    """PUT of `url`: what is known about the receiver goes."""
    if ty not in w.user["health"]:
        return
    change = lambda _: {"health": {t: h for t, h in w.user["health"].items() if t != ty}}
    w.spawn("put", lambda p: put_preferences(w, p, change, 50))


def touch(w):
    w.user = {**w.user, "version": w.user["version"] + 1}


def open_work(w):
    return any(not m["deleted"] for m in w.feed) or any(
        r.get("sweep_at") is not None
        or any(d["status"] == "pending" or d.get("dead_letter_owed") for d in r["D"])
        for r in w.D.values()
    )


def run(seed, F, kind=None, suppressed=(), trace=False, builder=build, p=None):
    P = p or params(seed, kind)
    w = World(seed, F, P, suppressed, trace)
    builder(w)
    longest = max(P["max"](t) for t in TYPES) + 3
    bound = P["Tf"] + 20000 + 3 * P.get("chain", 7) * longest * (max(P["delay"], 1000) + 900 + 120)
    settle_ = 18000
    bound += 100_000 if P["hours"] or P["pausing"] else 0
    while w.heap and w.now < bound:
        w.now, _, fn, a = heapq.heappop(w.heap)
        fn(*a)
        if w.seq % 64 == 0 and w.now > settle_ and w.now > P["Tf"] and not open_work(w):
            break
    check(w)
    return w


def check(w):
    rows = {did_of(r, i): (r, d) for r in w.D.values() for i, d in enumerate(r["D"])}
    for did, (r, d) in rows.items():
        if d["status"] == "pending":
            w.bad(
                "I1",
                f"{did} never ends: sweep_at={r.get('sweep_at')} owner={r.get('owner')} mode={r['mode']} rings={r.get('rings')}",
            )
    for mid, r in w.D.items():
        e = max((w.finished.get(did_of(r, i), 0) for i in range(len(r["D"]))), default=0)
        if (
            all(d["status"] in TERMINAL for d in r["D"])
            and r.get("sweep_at")
            and w.now > e + 4000
            and w.now > w.p["Tf"] + 4000
        ):
            w.bad("I11", f"{mid} has ended but stays in the sweep index, rings={r.get('rings')}")
    per = collections.Counter(
        (T["did"], T["round"]) for T in w.tokens.values() if T["recorded"] and T["sent"]
    )
    sent = collections.Counter(
        (T["did"], T["round"]) for T in w.tokens.values() for _ in range(T["sent"])
    )
    for (d, rn), n in sent.items():
        if n > w.p["max"](d.split(".")[-1]) + 3:
            w.bad("I2", f"{d} round {rn}: {n} sends, max {w.p['max'](d.split('.')[-1])}+3")
    for (d, rn), n in per.items():
        if n > w.p["max"](d.split(".")[-1]):
            w.bad("I2", f"{d} round {rn}: {n} recorded outcomes")
    for T in w.tokens.values():
        if T["sent"] > 1:
            w.bad("I3", f"{T['did']}: two sends in one claim")
    for d, ss in w.sends.items():
        w.M["sends"] += len(ss)
        for t, rn, out, tok in ss:
            if (
                out == "ok"
                and not w.tokens[tok]["recorded"]
                and not w.tokens[tok]["excuse"]
                and sum(1 for x in ss if x[1] == rn and x[2] == "ok") > 1
            ):
                w.bad(
                    "I3",
                    f"{d} round {rn}: a successful send of {tok} without record and without crash or stall; sent {[(round(x[0]), x[2]) for x in ss]}",
                )
    for k, n in w.rounds_started.items():
        if n > 1:
            w.bad("I5", f"{k} started {n} times")
    for mid, o in w.order.items():
        if mid in w.held_once:
            continue  # I6 is checked at each claim
        if [x[0] for x in o] != sorted(x[0] for x in o):
            w.bad(
                "I6"
                if w.p["quiet"]
                else "I6s"
                if any(w.tokens[x[2]]["excuse"] == "stall" for x in o)
                else "I6f",
                f"{mid}: first attempts in order {[x[1] for x in o]}",
            )
    for d, rn, err in w.failed_rounds:
        if (
            err in NO_DEAD_LETTER
            or (d, rn + 1) in w.dead_letters
            or (d, rn + 1) in w.rounds_started
            or d in w.gone
        ):
            continue
        w.bad("I7", f"{d} round {rn} failed ({err}) and has no dead letter")
    for rid, n in w.asked.items():
        if w.p["quiet"] and len(w.acks[rid]) < n:
            w.bad("I8c", f"{rid}: {n} equal requests, {len(w.acks[rid])} responses, nothing wrong")
    for rid, s in w.acks.items():
        for (t1, m1), (t2, m2) in itertools.pairwise(s):
            if (
                m1 != m2
                and min(t2, max(t1, t2))
                < min(w.plans[m1]["ttl"], w.plans[m2]["ttl"]) - 2 * SKEW - 60
            ):
                w.bad("I8", f"{rid}: {m1} and {m2} within one identity")
    firsts = collections.defaultdict(list)
    for did, (r, d) in rows.items():
        if r["mode"] == "first":
            firsts[r["mid"]].append((did, d))
    for mid, shown in w.shown.items():
        if any(s != shown[0] for s in shown):
            w.bad("I8d", f"{mid}: equal requests were shown different holds: {shown}")
    for mid, L in firsts.items():
        ok = [did for did, d in L if d["status"] == "success"]
        sendok = [
            (did, s[3])
            for did, _ in L
            for s in w.sends[did]
            if s[2] == "ok" and (did, s[1]) not in w.bounced
        ]
        if len(ok) > 1:
            w.bad("I9", f"{mid}: {ok} all succeeded, rounds {[d['round'] for _, d in L]}")
        elif len({d for d, _ in sendok}) > 1 and not any(w.tokens[t]["excuse"] for _, t in sendok):
            w.bad("I9", f"{mid}: successful sends over {sorted({d for d, _ in sendok})}")
    lost = {(ev[0], ev[3]) for ev in w.parked} | w.excused
    for did, round_ in w.bounced - lost:
        r, d = rows.get(did, (None, None))
        if d and d["round"] == round_ and d["status"] == "success":
            w.bad("I18", f"{did} is a success of round {round_}, in which it bounced")
    for mid, L in firsts.items():
        if any(d["status"] == "success" for _, d in L) or not any(
            d["error"] in REPORTED for _, d in L
        ):
            continue
        left = [did for did, d in L if d["error"] == "first_success"]
        if left:
            w.bad("I19", f"{mid} bounced, and {left} never had their turn")
    for (did, round_), events in w.reports.items():
        r, d = rows.get(did, (None, None))
        if d is None or d["round"] != round_ or (did, round_) in lost:
            continue
        want = max(events)
        if d.get("receipt") != want[:3]:
            w.bad("I21", f"{did}: receipt {d.get('receipt')}, the greatest is {want}")
        elif d["error"] in REPORTED and d["error"] != want[3]:
            w.bad("I21", f"{did}: {d['error']}, but the receipt says {want[3]}")
    for ty, L in w.pauses.items():
        for begun, sent in L:
            # A probe whose worker crashed or met AWS faults is followed by another one.
            plain = [tok for tok in sent if not w.tokens[tok]["excuse"]]
            if len(plain) > 1:
                w.bad("I22", f"{ty}: {len(plain)} requests in the pause that began at {begun:.0f}")
    if w.p["quiet"]:
        for mid, n in w.swrings.items():
            tries = sum(1 for T in w.tokens.values() if T["did"].startswith(mid + "."))
            if n > 4 + 2 * max(1, tries):
                w.bad("I11", f"{mid}: {n} rings by the sweeper for {tries} tries, nothing wrong")
    dup = 0
    for d, ss in w.sends.items():
        for rn in {x[1] for x in ss}:
            dup += max(0, sum(1 for x in ss if x[1] == rn and x[2] == "ok") - 1)
    w.M["dup"] += dup
    w.M["excuses"] += sum(
        1 for T in w.tokens.values() if T["excuse"] and T["sent"] and not T["recorded"]
    )
    w.M["swrings"] += sum(w.swrings.values())
    w.M["messages"] += len(w.created)
    w.M["deliveries"] += sum(len(w.plans[m]["types"]) for m in w.created)


def shrink(seed, F, inv, kind=None, builder=build):
    sup, w = set(), run(seed, F, kind, builder=builder)
    again = True
    while again:
        again = False
        for f in list(w.faults):
            v = run(seed, F, kind, sup | {f}, builder=builder)
            if any(x[0] == inv for x in v.viol):
                sup.add(f)
                w = v
                again = True
                break
    return run(seed, F, kind, sup, True, builder=builder)


def big(n):
    def b(w):
        g = random.Random(f"{w.seed}:big")
        for i in range(n):
            ty = g.sample(TYPES, g.choice([1, 1, 2, 3, 7]))
            w.spawn(
                f"api-r{i}",
                lambda p, i=i, ty=ty: accept(
                    w, p, f"r{i}", ty, "all" if i % 3 else "first", None, None, "body"
                ),
                delay=i * 0.05,
            )
        w.at(30, ticker, w)
        w.at(200, w.purge)

    return b


def equal(n):
    def b(w):
        g = random.Random(f"{w.seed}:equal")
        types = g.sample(TYPES, g.choice([1, 3, 7]))
        mode = g.choice(["all", "first"])
        for i in range(n):
            w.spawn(
                "api-r0",
                lambda p: accept(w, p, "r0", types, mode, None, None, "body"),
                delay=1 + 0.05 * g.random(),
            )
        w.at(30, ticker, w)
        w.at(600, ttl_job, w)

    return b


def count(n, tries, delay=60, mode="all"):
    """Write units (of rows of one KB) of one message of n deliveries, each tried `tries` times, the last one a success; nothing fails."""

    def b(w):
        w.spawn("api", lambda p: accept(w, p, "r0", TYPES[:n], mode, None, None, "body"), delay=1)
        w.at(30, ticker, w)

    P = params(1, "count")
    P.update(
        hours=False,
        feedback=False,
        pausing=False,
        skew=False,
        dup=0,
        reorder=0,
        lag=0,
        overlap=0,
        delay=delay,
        sendtime=0.5,
        retention=1e9,
        max=lambda t: 30,
    )

    class Scripted(dict):
        def __getitem__(self, k):
            return (0, 1, 0, 0, 0) if k == "recv" else dict.__getitem__(self, k)

    P = Scripted(P)
    real = globals()["send"]

    def scripted(w, p, row, d, *a):
        real(w, p, row, d, *a)
        return "ok" if d["tries"] >= tries else "retry"

    globals()["send"] = scripted
    try:
        w = run(1, set(CLAUSES), p=P, builder=b)
    finally:
        globals()["send"] = real
    return w


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--scenarios", type=int, default=1500)
    a.add_argument("--without", type=int, nargs="*", default=[])
    a.add_argument("--reading", type=int, nargs="*", default=[])
    a.add_argument("--kind")
    a.add_argument("--trace", action="store_true")
    a.add_argument("--shrink")
    a.add_argument("--big", type=int)
    a.add_argument("--equal", type=int)
    a.add_argument("--count", action="store_true")
    a.add_argument("--examples", type=int, default=2)
    o = a.parse_args()
    F = set(CLAUSES) - set(o.without) | set(o.reading)
    builder = equal(o.equal) if o.equal else build
    if o.count:
        for n in (1, 3, 7):
            for tries in (1, 2, 4, 11):
                w = count(n, tries)
                M = w.M
                print(
                    f"{n} deliveries, {tries - 1} retries each: request put 1, message row {M['row_writes']}, index {M['index_writes']}, refused {sum(v for k, v in M.items() if k.startswith('refused'))}, rings {M['bells']}, by the sweeper {M['swrings']}",
                    dict(collections.Counter(d["status"] for r in w.D.values() for d in r["D"])),
                    w.viol[:1],
                )
        return 0
    if o.shrink or o.trace:
        w = (
            shrink(o.seed, F, o.shrink, o.kind, builder)
            if o.shrink
            else run(o.seed, F, o.kind, (), True, builder)
        )
        print({k: v for k, v in w.p.items() if k != "max"}, {t: w.p["max"](t) for t in TYPES})
        print("\n".join(w.log))
        print("faults kept:", w.faults)
        print(*w.viol, sep="\n")
        return 0
    if o.big:
        P = params(o.seed, "all")
        P.update(
            hours=False,
            feedback=False,
            pausing=False,
            aws=0.3,
            crash=0.02,
            stall=0.001,
            Tf=3000,
            recv=(7, 3, 0, 0, 0),
            lag=2,
            retention=1e9,
            delay=30,
            max=lambda t: 6,
            skew=True,
            dup=0.02,
            reorder=0.1,
            overlap=0.1,
            sendtime=2,
        )
        w = run(o.seed, F, p=P, builder=big(o.big))
        V = collections.Counter(v[0] for v in w.viol)
        print(
            collections.Counter(d["status"] for r in w.D.values() for d in r["D"]),
            dict(w.M),
            V,
            w.viol[:3],
            f"t={w.now:.0f}",
        )
        return int(bool(set(V) - INHERENT))
    V, ex, M, K, L = (
        collections.Counter(),
        collections.defaultdict(list),
        collections.Counter(),
        collections.Counter(),
        collections.Counter(),
    )
    t0 = time.time()
    for s in range(o.seed, o.seed + o.scenarios):
        w = run(s, F, o.kind, builder=builder)
        M.update(w.M)
        K[w.p["kind"]] += 1
        for n, t in w.lateness.items():
            L[n] = max(L[n], round(t, 1))
        for inv in {v[0] for v in w.viol}:
            V[inv] += 1
            ex[inv].append((s, len(w.faults), next(v[1] for v in w.viol if v[0] == inv)))
    print(
        f"{o.scenarios} scenarios {dict(K)} in {time.time() - t0:.0f} s; {dict(M)}; worst lateness in seconds without faults, by number of deliveries: {dict(sorted(L.items()))}"
    )
    print("scenarios that broke a promise:", dict(sorted(V.items())) or "none")
    for inv in sorted(ex):
        for s, n, t in sorted(ex[inv], key=lambda x: x[1])[: o.examples]:
            print(f"  {inv} seed {s} ({n} faults): {t}")
    return int(bool(set(V) - INHERENT))


if __name__ == "__main__":
    raise SystemExit(main())
