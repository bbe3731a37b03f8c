"""The edge of the authorizer: authenticates the caller of each request for API Gateway.

API Gateway calls it for every request without caching the result, because its cache would require
both kinds of credentials in each request. The handler authorizes the caller, see ``access``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher import wiring
from dispatcher.edges import header_values, invocation
from dispatcher.edges.log_fields import log_fields
from dispatcher.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.delivery.ports import EventLog
    from dispatcher.edges import LambdaEvent


class UnauthorizedError(Exception):
    """API Gateway returns 401 for an error whose whole text is ``Unauthorized``."""


class UncheckedError(Exception):
    """API Gateway returns its response AUTHORIZER_FAILURE for any other error."""


def check(event: LambdaEvent, context: object) -> Mapping[str, object]:
    """Return a policy that admits the request, with the caller as context, or raise."""
    request_id = (event.get("requestContext") or {}).get("requestId")
    with invocation(context, api_request_id=request_id) as event_log:
        return _check(event, event_log)


def _check(event: LambdaEvent, event_log: EventLog) -> Mapping[str, object]:
    try:
        caller = wiring.authentication().caller(
            header_values(event, "authorization"), header_values(event, "x-api-key")
        )
    except UnauthenticatedError as refusal:
        event_log.emit("caller.rejected", reason=str(refusal))
        raise UnauthorizedError("Unauthorized") from None
    except Exception as error:  # noqa: BLE001 - the edge: nothing of a library's text gets out
        event_log.emit("caller.unchecked", **log_fields(error))
        raise UncheckedError("the caller could not be checked; the log says why") from None
    event_log.emit("caller.authenticated", caller=caller.name)
    return {
        "principalId": caller.name,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "execute-api:Invoke",
                    "Resource": _whole_stage(str(event["methodArn"])),
                }
            ],
        },
        "context": caller.as_context(),
    }


def _whole_stage(method_arn: str) -> str:
    # The ARN itself is unsafe: its path comes from the caller and may contain a policy's wildcards
    # or variables. The policy applies only to this request.
    api, stage, path = method_arn.split("/", 2)
    # The local cloud decodes the path, and its * does not match a line break: one * for each line.
    return f"{api}/{stage}/" + "\n".join("*" for _ in path.split("\n"))
