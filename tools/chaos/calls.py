"""Reads a function's AWS call: which step of the delivery protocol it is, and for which delivery.

Only what goes over the wire is looked at: the service has no hook for any of this.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DELIVERY = "DELIVERY#"
_SET = re.compile(r"SET (.*?)(?: REMOVE |$)")
_ASSIGNED = re.compile(r"(#n\d+) = (:v\d+)")


class Step(StrEnum):
    """A step of the protocol that is one AWS call."""

    COMMIT = "commit"
    CLAIM = "claim"
    RECORD = "record"
    RING = "ring"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is a step."""

    step: Step
    delivery_id: str
    token: str = ""
    """Of the claim, or of the claim under which a record is made."""
    lease_until: float = 0.0
    names: Mapping[str, str] | None = None
    """At a commit: what each delivery is called in every run, by its id."""


def read(target: str, body: bytes) -> Call | None:
    """Return the step that a call is, ``None`` if it is another call."""
    operation = target.rpartition(".")[2]
    if operation == "UpdateItem":
        return _update(json.loads(body))
    if operation == "TransactWriteItems":
        parts = json.loads(body)["TransactItems"]
        puts = [part["Put"]["Item"] for part in parts if "Put" in part]
        return _commit(puts) if puts else _update(parts[0].get("Update", {}))
    if operation == "SendMessage":
        return _message(json.loads(body))
    return None


def refused_for_itself(answer: bytes, token: str) -> bool:
    """Tell whether a condition failed because this very write had been made before."""
    found = json.loads(answer or b"{}")
    items = [found.get("Item")]
    items += [reason.get("Item") for reason in found.get("CancellationReasons") or ()]
    return any(
        item.get(name, {}).get("S") == token
        for item in items
        if item
        for name in ("owner", "last_owner")
    )


def _update(update: Mapping[str, Any]) -> Call | None:
    sort_key = update.get("Key", {}).get("sk", {}).get("S", "")
    if not sort_key.startswith(DELIVERY):
        return None
    names = update.get("ExpressionAttributeNames", {})
    found = _SET.match(update.get("UpdateExpression", ""))
    assigned = {
        names[name]: update["ExpressionAttributeValues"][value]
        for name, value in _ASSIGNED.findall(found[1] if found else "")
    }
    delivery_id = sort_key.removeprefix(DELIVERY)
    if "lease_until" in assigned:
        lease_until = float(assigned["lease_until"]["N"])
        return Call(Step.CLAIM, delivery_id, assigned["owner"]["S"], lease_until)
    if "last_owner" in assigned and assigned.keys() & {"attempts", "status"}:
        return Call(Step.RECORD, delivery_id, assigned["last_owner"]["S"])
    return None


def _commit(puts: list[Mapping[str, Any]]) -> Call | None:
    names = {
        item["delivery_id"]["S"]: f"{item['request_id']['S']} {item['integration_type']['S']}"
        for item in puts
        if item["sk"]["S"].startswith(DELIVERY)
    }
    return Call(Step.COMMIT, next(iter(names)), names=names) if names else None


def _message(message: Mapping[str, Any]) -> Call | None:
    doorbell = json.loads(message["MessageBody"])
    if doorbell.get("kind") == "ticket":
        return Call(Step.TICKET, doorbell["delivery_id"])
    if doorbell.get("kind") == "delivery":
        return Call(Step.RING, doorbell["delivery_id"])
    return None
