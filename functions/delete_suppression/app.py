"""DELETE /api/v1/users/{user_id}/suppressions/{suppression_id}: delete a suppression."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/suppressions/{suppression_id}")
def handler(request: http.Request) -> http.Response:
    """Remove the suppression, so that messages go to the address again.

    The account list of Amazon SES may hold the address too:
    ``aws sesv2 delete-suppressed-destination --email-address ADDRESS`` removes it there.
    """
    wiring.suppressions().remove(request.user_id, request.suppression_id)
    return http.Response(204)
