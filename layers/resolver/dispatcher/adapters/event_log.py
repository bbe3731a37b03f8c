"""Which events of the event_log are counted, and how: the one table from a line to its metrics.

A line that is counted carries its metrics with it, in CloudWatch's embedded metric format: numbers
at the root of the line, and ``_aws``, which names them. There is no second line, and no call.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aws_lambda_powertools import Logger

NAMESPACE = "IntegrationDispatcher"

# Nothing else is ever a dimension: each combination of values is a metric that is paid for.
STACK, INTEGRATION = "stack", "integration_type"

COUNT, MILLISECONDS, SECONDS = "Count", "Milliseconds", "Seconds"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that is read off the fields of a line; ``None``: this line does not count."""

    name: str
    unit: str
    read: Callable[[Mapping[str, Any]], float | None]
    by_integration: bool = False
    """Whether it is kept for each integration too, beside the whole stack."""

    @property
    def dimensions(self) -> list[list[str]]:
        """The sets of dimensions that it is kept by."""
        return [[STACK], [STACK, INTEGRATION]] if self.by_integration else [[STACK]]


def _once(_line: Mapping[str, Any]) -> int:
    return 1


def _accepted(line: Mapping[str, Any]) -> int | None:
    return len(line["deliveries"]) or None


def _accepted_over(integration_type: str, line: Mapping[str, Any]) -> int | None:
    return list(line["deliveries"].values()).count(integration_type) or None


def _is_retry(line: Mapping[str, Any]) -> int | None:
    return 1 if line["number"] > 1 else None


def _age_of_first(line: Mapping[str, Any]) -> float | None:
    return line["late_ms"] if line["number"] == 1 else None


def _ended(status: str, line: Mapping[str, Any]) -> int | None:
    return 1 if line["status"] == status else None


def _whole(line: Mapping[str, Any]) -> int | None:
    return None if line["faults"] else 1


_ENDS = tuple(
    Metric(name, COUNT, partial(_ended, status), by_integration=True)
    for name, status in (("delivered", "success"), ("failed", "failed"), ("skipped", "skipped"))
)

METRICS: Mapping[str, tuple[Metric, ...]] = {
    # Lambda counts a refusal as an error of the authorizer, too: its own numbers tell nothing.
    "caller.refused": (Metric("callers_refused", COUNT, _once),),
    "caller.unchecked": (Metric("callers_unchecked", COUNT, _once),),
    "message.accepted": (
        Metric("accepted", COUNT, _accepted),
        # One line for all deliveries of a message, so the integration is in the name: a line has
        # one value for a dimension.
        *(
            Metric(f"accepted_{name.lower()}", COUNT, partial(_accepted_over, name))
            for name in catalogue()
        ),
    ),
    "delivery.attempted": (
        Metric("attempt_ms", MILLISECONDS, lambda line: line["duration_ms"], by_integration=True),
        Metric("first_attempt_age_ms", MILLISECONDS, _age_of_first, by_integration=True),
        Metric("retried", COUNT, _is_retry, by_integration=True),
        *_ENDS,
    ),
    "delivery.ended": _ENDS,
    "delivery.cancelled": (Metric("skipped", COUNT, _once, by_integration=True),),
    "claim.taken_over": (Metric("duplicate_risk", COUNT, _once),),
    "record.lost": (Metric("duplicate_risk", COUNT, _once),),
    "event.parked": (Metric("parked", COUNT, _once),),
    "message.parked": (Metric("parked", COUNT, _once),),
    "sweep.done": (
        Metric("oldest_due_seconds", SECONDS, lambda line: line["oldest_due_seconds"]),
        Metric("whole_sweeps", COUNT, _whole),
    ),
}


def embedded(event: str, fields: Mapping[str, Any], *, stack: str, now: float) -> dict[str, Any]:
    """Return what a line must hold beside its fields to be counted; nothing if it is not."""
    read = [(metric, metric.read(fields)) for metric in METRICS.get(event, ())]
    counted = [(metric, value) for metric, value in read if value is not None]
    if not counted:
        return {}
    return {
        **{metric.name: value for metric, value in counted},
        STACK: stack,
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": list(_directives(metric for metric, _ in counted)),
        },
    }


def _directives(metrics: Iterable[Metric]) -> Iterable[dict[str, Any]]:
    """Yield a directive for each way in which some of the metrics are kept."""
    together: dict[bool, list[Metric]] = {}
    for metric in metrics:
        together.setdefault(metric.by_integration, []).append(metric)
    for alike in together.values():
        yield {
            "Namespace": NAMESPACE,
            "Dimensions": alike[0].dimensions,
            "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in alike],
        }


TROUBLE = frozenset(
    {
        "caller.unchecked",
        "channel.broke",
        "doorbell.lost",
        "event.parked",
        "message.parked",
        "message.returned",
        "outcome.untold",
        "record.lost",
        "row.broken",
        "ticket.delayed",
    }
)
"""Events that somebody should look at: they are written at level WARNING."""


class StructuredEventLog:
    """Implements ``ports.EventLog`` with structured log lines.

    Lines below the level ``least`` are left out, but for those that carry metrics: a number must
    not vanish because somebody wants to read less. So the logger itself lets every level pass.
    """

    def __init__(self, logger: Logger, *, stack: str, least: int = logging.INFO) -> None:
        self._logger = logger
        self._stack = stack
        self._least = least
        self._invocation: dict[str, object] = {}

    def begin(self, context: object, **ids: object) -> None:
        """Name an invocation in every line from here on."""
        self._invocation = {
            "function_request_id": getattr(context, "aws_request_id", None),
            **ids,
        }

    def emit(self, event: str, **fields: object) -> None:
        """Write one wide line."""
        status = fields.get("status")
        broke = isinstance(status, int) and status >= 500
        trouble = broke or event in TROUBLE
        metrics = embedded(event, fields, stack=self._stack, now=time.time())
        if metrics or (logging.WARNING if trouble else logging.INFO) >= self._least:
            write = self._logger.warning if trouble else self._logger.info
            write(event, extra={**self._invocation, **fields, **metrics})
