"""Every minute: rings for every due row that was not rung for, or whose doorbell was lost."""

from collections.abc import Mapping

from dispatcher import wiring
from dispatcher.edges import LambdaEvent


def handler(_event: LambdaEvent, context: object) -> Mapping[str, object]:
    """Return the counts of the sweep."""
    wiring.event_log().begin(context)
    return wiring.sweeper().sweep()
