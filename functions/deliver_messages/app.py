"""DeliveryQueue and RetryQueue: doorbells, each answered with the attempts that are due."""

from collections.abc import Mapping
from typing import Any

from dispatcher import wiring
from dispatcher.edges import batch


def handler(event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:  # noqa: ANN401 - Lambda's own
    """Deliver what the doorbells of one batch ring for."""

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    return batch.each(
        event,
        context,
        wiring.worker,
        lambda worker, record: worker.answer(record.body, record.source, remaining),
    )
