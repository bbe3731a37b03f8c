"""What any function that talks to DynamoDB must do at least."""

import boto3

boto3.client("dynamodb")
