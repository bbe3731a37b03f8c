"""POST /api/v1/users/{user_id}/deliveries: send a message."""

from urllib.parse import quote

from dispatcher import http, wiring


@http.route("POST", "/api/v1/users/{user_id}/deliveries")
def handler(request: http.Request) -> http.Answer:
    """Answer with the deliveries that were accepted, and where to follow them."""
    accepted = wiring.acceptance().accept(
        request.user_id, request.body, request.header("Idempotency-Key")
    )
    request_id = quote(str(accepted.answer["request_id"]), safe="")
    headers = {"Location": f"deliveries?request_id={request_id}"}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    return http.Answer(202, accepted.answer, headers)
