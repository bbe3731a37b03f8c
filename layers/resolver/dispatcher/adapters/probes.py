"""Looks whether tables and queues answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


class AwsProbes:
    """Implements ``ports.Probes`` with one cheap call to each table and queue, by name."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        sqs: SQSClient,
        *,
        overrides: str,
        deliveries: str,
        queues: Mapping[str, str],
    ) -> None:
        nobody = {"user_id": {"S": "-"}}
        self._probes: dict[str, Callable[[], object]] = {
            "OverridesTable": lambda: dynamodb.get_item(TableName=overrides, Key=nobody),
            "DeliveriesTable": lambda: dynamodb.get_item(
                TableName=deliveries, Key={**nobody, "sk": {"S": "-"}}
            ),
        }
        for name, url in queues.items():
            self._probes[name] = partial(
                sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"]
            )

    def all_within(self, seconds: float) -> Mapping[str, bool]:
        """Probe everything side by side.

        What has not answered in time is left to its thread and counts as down.
        """
        threads = ThreadPoolExecutor(len(self._probes))
        answers = {name: threads.submit(_answers, probe) for name, probe in self._probes.items()}
        wait(answers.values(), timeout=seconds)
        threads.shutdown(wait=False, cancel_futures=True)
        return {name: answer.done() and answer.result() for name, answer in answers.items()}


def _answers(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except (BotoCoreError, ClientError):
        return False
    return True
