"""A function from its start to its first response."""

import json
import os
import sys
from importlib import import_module
from types import SimpleNamespace

# The context that Lambda passes to a function with the event.
context = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:function",
    aws_request_id="8f14e45f-ceea-467f-9575-6b6d3f1c2a11",
    get_remaining_time_in_millis=lambda: 120_000,
)
handler = import_module("app").handler
with open(sys.argv[1], "rb") as sample:  # noqa: PTH123 - pathlib would be another import
    response = handler(json.load(sample), context)
# The sample of refuse_request gets 405.
if response.get("statusCode", 200) not in {200, 201, 202, 204, 405} or response.get(
    "batchItemFailures"
):
    sys.exit(f"the function returned {response}")

# A container would wait for its next request here, so Python's own end is not measured.
os._exit(0)
