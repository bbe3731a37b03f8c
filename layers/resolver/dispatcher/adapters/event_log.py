"""The log in CloudWatch: one structured line per event, which carries its own metrics.

They are in CloudWatch's embedded metric format: numbers at the root of the line, and ``_aws``,
which names them. There is no second line and no call.
"""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from dispatcher.events import EVENTS

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

    from dispatcher.events import EventName, Line, Metric

NAMESPACE = "IntegrationDispatcher"

# No other field is ever a dimension: AWS bills each combination of values as a metric.
STACK, INTEGRATION = "stack", "integration_type"


def dimensions(metric: Metric) -> list[list[str]]:
    """Return the sets of dimensions by which a metric is kept."""
    return [[STACK], [STACK, INTEGRATION]] if metric.by_integration == "yes" else [[STACK]]


def embedded(event: EventName, fields: Line, *, stack: str, now: float) -> dict[str, Any]:
    """Return the members that make CloudWatch count a line; none if it counts for no metric."""
    counted = list(EVENTS[event].values(fields))
    if not counted:
        return {}
    return {
        **{name: value for _, name, value in counted},
        STACK: stack,
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": _directives(tuple((metric, name) for metric, name, _ in counted)),
        },
    }


@cache
def _directives(metrics: tuple[tuple[Metric, str], ...]) -> list[dict[str, Any]]:
    """Return one directive per way in which some of the metrics are kept.

    A line of one kind counts for few sets of metrics, so there are few results to keep.
    """
    alike: dict[bool, list[tuple[Metric, str]]] = {}
    for metric, name in metrics:
        alike.setdefault(metric.by_integration == "yes", []).append((metric, name))
    return [
        {
            "Namespace": NAMESPACE,
            "Dimensions": dimensions(some[0][0]),
            "Metrics": [{"Name": name, "Unit": metric.unit} for metric, name in some],
        }
        for some in alike.values()
    ]


class StructuredEventLog:
    """Implements ``ports.EventLog`` with structured log lines.

    Lines below the level ``least`` are omitted, except those that carry metrics, because the alarms
    need them at every level. So the logger itself accepts every level.
    """

    def __init__(self, logger: Logger, *, stack: str, least: int = logging.INFO) -> None:
        self._logger = logger
        self._stack = stack
        self._least = least
        self._invocation: dict[str, object] = {}

    def begin(self, context: object, **ids: object) -> None:
        """Name function and invocation in every line from here on."""
        self._invocation = {
            "function_name": getattr(context, "function_name", None),
            "function_request_id": getattr(context, "aws_request_id", None),
            **ids,
        }

    def emit(self, event: EventName, **fields: object) -> None:
        """Write one wide line."""
        is_warning = EVENTS[event].is_warning(fields)
        metrics = embedded(event, fields, stack=self._stack, now=time.time())
        if metrics or (logging.WARNING if is_warning else logging.INFO) >= self._least:
            write = self._logger.warning if is_warning else self._logger.info
            write(event, extra={**self._invocation, **fields, **metrics})
