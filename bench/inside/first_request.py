"""A function from its start to its first answer."""

import json
import os
import sys
from importlib import import_module


class Context:
    """What Lambda hands to a function beside its event."""

    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:function"
    aws_request_id = "8f14e45f-ceea-467f-9575-6b6d3f1c2a11"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return as much time as a worker has."""
        return 120_000


handler = import_module("app").handler
with open(sys.argv[1], "rb") as sample:  # noqa: PTH123 - pathlib would be one import more
    answer = handler(json.load(sample), Context())
# 405 is what a sample of refuse_request asks for.
if answer.get("statusCode", 200) not in {200, 201, 202, 204, 405} or answer.get(
    "batchItemFailures"
):
    sys.exit(f"the sample was answered with {answer}")

# Here a container would wait for its next request: what Python does at its end is no part of this.
os._exit(0)
