"""Probes of tables, queues and the integrations' providers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from dispatcher.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Probe = Callable[[], object]
"""Returns on success, else raises ``UnavailableError`` with a text that is safe to show."""


class LiveProbes:
    """Implements ``ports.Probes``.

    One cheap call to each table and queue, by name; ``peer`` finds an integration's own probe.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        sqs: SQSClient,
        *,
        overrides: str,
        deliveries: str,
        queues: Mapping[str, str],
        peer: Callable[[str], Probe | None],
    ) -> None:
        nobody = {"user_id": {"S": "-"}}
        self._peer = peer
        self._vital: dict[str, Probe] = {
            "OverridesTable": lambda: dynamodb.get_item(TableName=overrides, Key=nobody),
            "DeliveriesTable": lambda: dynamodb.get_item(
                TableName=deliveries, Key={**nobody, "sk": {"S": "-"}}
            ),
        }
        for name, url in queues.items():
            self._vital[name] = partial(
                sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"]
            )

    def all_within(self, seconds: float, integrations: Iterable[str]) -> Mapping[str, str | None]:
        """Run all probes in parallel.

        A probe without a response in time is left to its thread and counts as down.
        """
        peers = {name: probe for name in integrations if (probe := self._peer(name))}
        probes = self._vital | peers
        threads = ThreadPoolExecutor(len(probes))
        troubles = {name: threads.submit(_trouble, probe) for name, probe in probes.items()}
        wait(troubles.values(), timeout=seconds)
        threads.shutdown(wait=False, cancel_futures=True)
        late = f"no response within {seconds:g} s"
        return {
            name: trouble.result() if trouble.done() else late for name, trouble in troubles.items()
        }


def _trouble(probe: Probe) -> str | None:
    try:
        probe()
    except UnavailableError as error:
        return str(error)
    except (BotoCoreError, ClientError):
        return "AWS did not respond, or refused"
    except Exception as error:  # noqa: BLE001 - one broken probe must not hide what the others say
        # The error's text may contain secrets.
        return f"the probe failed: {type(error).__name__}"
    return None
