"""The numbers of the overview: queue attributes of SQS, and metrics of CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.configuration.ports import Depth, HourMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

NAMESPACE = "IntegrationDispatcher"
HOUR, MINUTE = 3600, 60


class CloudWatchClient(Protocol):
    """The one method that is used of CloudWatch's client."""

    def get_metric_data(self, **call: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's own
        """Return the values of several metrics."""


class AwsNumbers:
    """Implements ``ports.Numbers``."""

    def __init__(self, sqs: SQSClient, cloudwatch: CloudWatchClient, stack: str) -> None:
        self._sqs = sqs
        self._cloudwatch = cloudwatch
        self._stack = {"Name": "stack", "Value": stack}

    def depth(self, url: str) -> Depth:
        """Return the approximate depth of a queue."""
        with unavailable_if_it_fails():
            found = self._sqs.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        counts = found["Attributes"]
        return Depth(
            visible=int(counts["ApproximateNumberOfMessages"]),
            delayed=int(counts["ApproximateNumberOfMessagesDelayed"]),
            in_flight=int(counts["ApproximateNumberOfMessagesNotVisible"]),
        )

    def last_hour(self, now: float, ends: Sequence[str], names: Sequence[str]) -> HourMetrics:
        """Return the metrics of the last 60 whole minutes with one call."""
        pairs = [*product(ends, names)]
        queries = [
            self._query("accepted", "accepted", "Sum"),
            self._query("oldest", "oldest_due_seconds", "Maximum"),
            *(
                self._query(f"m{number}", metric, "Sum", integration_type)
                for number, (metric, integration_type) in enumerate(pairs)
            ),
        ]
        end = now - now % MINUTE
        with unavailable_if_it_fails():
            found = self._cloudwatch.get_metric_data(
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(end - HOUR, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
            )
        values = {one["Id"]: one["Values"] for one in found["MetricDataResults"]}
        return HourMetrics(
            accepted=round(sum(values["accepted"])),
            oldest_due_seconds=max(values["oldest"], default=None),
            ended={pair: round(sum(values[f"m{number}"])) for number, pair in enumerate(pairs)},
        )

    def _query(
        self, name: str, metric: str, statistic: str, integration_type: str | None = None
    ) -> dict[str, object]:
        dimensions = [self._stack]
        if integration_type is not None:
            dimensions.append({"Name": "integration_type", "Value": integration_type})
        return {
            "Id": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric,
                    "Dimensions": dimensions,
                },
                "Period": MINUTE,
                "Stat": statistic,
            },
        }
