"""FeedbackQueue: reports of providers about messages that they accepted."""

from dispatcher import wiring
from dispatcher.edges import LambdaEvent, batch


def handler(event: LambdaEvent, context: object) -> batch.BatchResponse:
    """Apply the reports of one batch."""
    return batch.each(
        event,
        context,
        wiring.feedback,
        lambda feedback, record: feedback.take(record.body, record.message_id),
    )
