"""Every route but the open ones: who asks?"""

from collections.abc import Mapping
from typing import Any

from dispatcher.edges import authorizer


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Let the request in with what is known of its caller, or raise for API Gateway to refuse."""
    return authorizer.check(event, context)
