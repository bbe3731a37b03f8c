"""Authorizer of every route except the open ones: authenticates the caller."""

from collections.abc import Mapping

from dispatcher.edges import LambdaEvent, authorizer


def handler(event: LambdaEvent, context: object) -> Mapping[str, object]:
    """Return a policy with the caller's identity, or raise for API Gateway to reject."""
    return authorizer.check(event, context)
