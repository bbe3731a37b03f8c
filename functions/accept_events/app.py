"""IntakeQueue: events and messages that ask for a message to be sent."""

from dispatcher import wiring
from dispatcher.edges import LambdaEvent, batch


def handler(event: LambdaEvent, context: object) -> batch.BatchResponse:
    """Accept the requests of one batch."""
    return batch.each(
        event,
        context,
        wiring.intake,
        lambda intake, record: intake.take(record.body, record.message_id),
    )
