"""What many a service does before its first request, by the book of Powertools."""

import os

# Tracer does its work in Lambda alone.
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
    """What a route takes."""

    content: str


# Here a container would wait for its next request: what Python does at its end is no part of this.
os._exit(0)
