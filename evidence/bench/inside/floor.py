"""The least that a function does which calls DynamoDB: it makes one client."""

import os

import boto3

boto3.client("dynamodb")

# A container would wait for its next request here, so Python's own end is not measured.
os._exit(0)
