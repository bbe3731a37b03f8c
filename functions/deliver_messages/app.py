"""DeliveryQueue and RetryQueue: doorbells, each handled with the attempts that are due."""

from dispatcher import wiring
from dispatcher.edges import LambdaContext, LambdaEvent, batch


def handler(event: LambdaEvent, context: LambdaContext) -> batch.BatchResponse:
    """Deliver what the doorbells of one batch ring for."""

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return batch.each(
        event,
        context,
        wiring.worker,
        lambda worker, record: worker.handle(record.body, record.source, remaining),
    )
