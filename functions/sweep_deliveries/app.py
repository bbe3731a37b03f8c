"""Every minute: rings for every due row that was not rung for, or whose doorbell was lost."""

from collections.abc import Mapping

from dispatcher import wiring
from dispatcher.edges import LambdaEvent, invocation


def handler(_event: LambdaEvent, context: object) -> Mapping[str, object]:
    """Return the counts of the sweep."""
    with invocation(context):
        return wiring.sweeper().sweep()
