"""IntakeQueue: events and messages that ask for a message to be sent."""

from collections.abc import Mapping
from typing import Any

from dispatcher import wiring
from dispatcher.edges import batch


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """Accept the requests of one batch."""
    return batch.each(
        event,
        context,
        wiring.intake,
        lambda intake, record: intake.take(record.body, record.message_id),
    )
