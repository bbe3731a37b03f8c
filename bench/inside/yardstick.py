"""The imports of many services before their first request, as the Powertools docs show them."""

import os

# Tracer only works in Lambda.
os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "yardstick"

import boto3
import pydantic
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

logger = Logger()
metrics = Metrics(namespace="yardstick")
tracer = Tracer()
app = APIGatewayRestResolver(enable_validation=True)
dynamodb = boto3.client("dynamodb")


class Body(pydantic.BaseModel):
    """The body of a route."""

    content: str


# A container would wait for its next request here, so Python's own end is not measured.
os._exit(0)
